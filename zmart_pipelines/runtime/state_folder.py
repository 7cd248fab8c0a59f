"""The state folder: the files of the embedded parts, and how other processes find them.

::

    .zmart/
      up.lock            locked by the running supervisor; contains its pid and addresses
      environment        the settings (with passwords) that other commands use
      secrets/           one random value per file, generated once
      run/NAME.json      pid and start time of each child
      logs/NAME.log
      postgres/ redis/ localnet/ dagster/ demo/ pins/
      wal/               the archived write-ahead log, unless WAL_ARCHIVE names another place
      backups/           unless BACKUP_TARGET names another place; zmart reset leaves it

Only the owner reads any of it: folders have mode 0700 and files 0600. ``postgres/`` belongs to
the account of the server, which under root has to pass through the state folder itself (0711).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, Role
from zmart_pipelines.store.logins import url_for

ENTRIES = (
    *("environment", "postgres.place", "secrets", "run", "logs"),
    *("postgres", "redis", "localnet", "dagster", "demo", "pins", "wal"),
)

# All but that of Postgres, which may belong to another account.
PRIVATE_FOLDERS = ("secrets", "run", "logs", "redis", "localnet", "dagster", "demo", "pins", "ipfs")


@dataclass(frozen=True)
class StateFolder:
    """Paths and small files under ``ZMART_STATE``."""

    root: Path

    @classmethod
    def of(cls, settings: Settings) -> StateFolder:
        """Return the folder of a process with these settings, as an absolute path."""
        return cls(settings.zmart_state.absolute())

    def prepare(self) -> None:
        """Create the folders, and take away what others may do in those from an earlier version.

        The mode of a state folder that exists is kept; its owner may have chosen it.
        """
        if not self.root.exists():
            self.root.mkdir(parents=True)
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.logs, self.run, self.secrets):
            folder.mkdir(mode=0o700, exist_ok=True)
        for name in PRIVATE_FOLDERS:
            folder = self.root / name
            if folder.is_dir():
                folder.chmod(0o700)
        for path in (*self.logs.iterdir(), *self.run.iterdir(), self.lock):
            if path.is_file():
                path.chmod(0o600)

    @property
    def logs(self) -> Path:
        """Folder of the processes' output."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Folder of the pid files."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """Folder of the generated secrets."""
        return self.root / "secrets"

    @property
    def lock(self) -> Path:
        """File whose lock the running supervisor holds."""
        return self.root / "up.lock"

    @property
    def restarts(self) -> Path:
        """File with a line for each restart since the last start, as JSON."""
        return self.run / "restarts.jsonl"

    @property
    def addresses(self) -> Path:
        """File with the settings that the last ``zmart up`` passed to its processes."""
        return self.root / "environment"

    def entries(self) -> list[Path]:
        """Return the paths that ``zmart up`` creates here, whether they exist or not."""
        return [self.root / name for name in ENTRIES]

    def secret(self, name: str) -> str:
        """Return the secret of that name, generated at first use (43 URL-safe characters)."""
        path = self.secrets / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text().strip()

    def has_secret(self, name: str) -> bool:
        """Return whether the secret of that name was generated."""
        return (self.secrets / name).exists()

    def save_environment(self, values: Mapping[str, str]) -> None:
        """Save the settings by which other commands find the running system."""
        write_private(self.addresses, json.dumps(dict(values), indent=1, sort_keys=True))

    def load_environment(self) -> dict[str, str]:
        """Return what ``save_environment`` saved; empty before the first ``zmart up``."""
        if not self.addresses.exists():
            return {}
        return dict[str, str](json.loads(self.addresses.read_text()))


def private_opener(path: str, flags: int) -> int:
    """Open a file as ``open`` does; one that is created is readable by its owner alone."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def with_running_system(settings: Settings) -> Settings:
    """Return the settings completed by those of the system that ``zmart up`` started.

    This is how a command such as ``zmart status`` finds the system of the same state folder.
    Settings given by the environment or ``.env`` take precedence.
    """
    found: dict[str, Any] = {name: getattr(settings, name) for name in settings.model_fields_set}
    state = StateFolder.of(settings)
    other_database = "database_url" in settings.model_fields_set
    for name, value in state.load_environment().items():
        field = name.lower()
        if field not in Settings.model_fields or field in settings.model_fields_set:
            continue
        if other_database and field.startswith("database_url"):
            continue  # the logins of the running system's database
        found[field] = value
    completed = Settings.model_validate(found)
    return with_logins(completed, state, create=False) if other_database else completed


def with_logins(settings: Settings, state: StateFolder, *, create: bool) -> Settings:
    """Return the settings completed by the roles' logins whose passwords the state folder keeps.

    Args:
        settings: Logins that they name take precedence.
        state: Where the passwords are.
        create: Make a password for a login that has none yet.
    """
    owner = settings.database_url.get_secret_value()
    logins = {
        role.setting: SecretStr(url_for(role, owner, state.secret(login_secret(role))))
        for role in LOGINS
        if getattr(settings, role.setting) is None
        and (create or state.has_secret(login_secret(role)))
    }
    return settings.model_copy(update=logins)


def login_secret(role: Role) -> str:
    """Return the name of the secret that is the password of a role's login."""
    return f"postgres-{role.value}"
