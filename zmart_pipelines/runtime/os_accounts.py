"""The OS account that a server runs as, and which files that account can access.

Postgres refuses to run as root. Started by root, it runs as an existing unprivileged
account, with its files where that account can access them. The mode of an existing folder is
never changed.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class Identity(TypedDict, total=False):
    """The keywords of ``subprocess.Popen`` that change the child's user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """An OS account that a server runs as."""

    name: str
    uid: int
    gid: int

    def identity(self) -> Identity:
        """Return the arguments for ``subprocess.Popen``."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_enter(self, folder: Path) -> bool:
        """Return whether the account may enter ``folder``, as the kernel decides it."""
        return self._test("-x", folder)

    def can_execute(self, program: Path) -> bool:
        """Return whether the account may execute ``program``."""
        return self._test("-x", program)

    def _test(self, flag: str, path: Path) -> bool:
        answer = subprocess.run(
            ["/bin/sh", "-c", f'test {flag} "$1"', "sh", str(path)],
            cwd="/",
            check=False,
            **self.identity(),
        )
        return answer.returncode == 0


class NoServerAccount(RuntimeError):
    """Started by root on a machine without an unprivileged account to run servers as."""


def server_account() -> Account | None:
    """Return the account that servers run as; ``None`` if not root: the current user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoServerAccount(
        "Postgres does not run as root and this machine has neither an account 'postgres' nor "
        "'nobody'. Run as another user, or set DATABASE_URL to a Postgres server."
    )
