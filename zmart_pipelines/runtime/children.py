"""Starting one child process so that it cannot outlive us unnoticed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from zmart_pipelines.runtime.accounts import Account

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """A ``preexec_fn`` that has the kernel send ``death_signal`` when the parent dies.

    It must run in the child after its user was changed, which is when ``subprocess`` calls
    it, and holds while the thread that started the child lives: start children from the
    main thread. ``None`` where the kernel has no such call.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)

    return ask


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes] | int,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, its output going to ``output``.

    An own session keeps the terminal's Ctrl-C away from it, so that the supervisor alone
    decides the order in which things stop.
    """
    return subprocess.Popen(
        list(command),
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent(death_signal),
        **(account.identity() if account else {}),
    )
