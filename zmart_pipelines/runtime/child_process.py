"""Start child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from zmart_pipelines.runtime.os_accounts import Account

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def _before_exec(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what the child runs between fork and exec, after its user was changed.

    It requests ``death_signal`` from the kernel for the parent's death. Changing the user
    would clear that request, and it is bound to the thread that started the child, so that
    children are started from the main thread. It also restores the default signal handling,
    which a shell may have disabled for background jobs.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
    parent = os.getpid()

    def prepare() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # the parent died before the call
                os._exit(1)

    return prepare


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes] | int,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in its own session, with its output in ``output``.

    Only its owner may read the files that it creates.

    Its own session keeps the terminal's Ctrl-C from it, so that the supervisor alone decides
    the order in which processes stop.
    """
    return subprocess.Popen(
        list(command),
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o077,
        preexec_fn=_before_exec(death_signal),
        **(account.identity() if account else {}),
    )
