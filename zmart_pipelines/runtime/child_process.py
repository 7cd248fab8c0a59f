"""Starting one child process so that it cannot outlive us unnoticed."""

from __future__ import annotations

import contextlib
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
# Steps of niceness: about a third of the share of those who do not yield.
NICENESS = 5


def _before_exec(death_signal: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec, after its user was changed.

    It asks the kernel for ``death_signal`` when the parent dies (changing the user would
    clear that; it holds while the thread that started the child lives, so children are
    started from the main thread), and takes back the default signal handling, which a
    shell may have turned off for background jobs.
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
        preexec_fn=_before_exec(death_signal),
        **(account.identity() if account else {}),
    )


def lower_priority(pid: int) -> None:
    """From now on the child that ``start`` started, and what it starts, get less of the
    processor than others where it is scarce. Where the system forbids it all stays as it is.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, os.getpriority(os.PRIO_PGRP, pid) + NICENESS)
    # Linux may share the processor out among sessions first; then this is what counts.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS))
