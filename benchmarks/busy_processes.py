"""Processes that do nothing but use the processor, for a limited time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

# Ends by itself, also when whoever started it was killed.
_SPIN: Final = """
import os, sys, time
parent, end = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while time.monotonic() < end and os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def busy_processes(number: int, at_most: float) -> Iterator[None]:
    """Run ``number`` busy processes at nice 0, for ``at_most`` seconds, until the block ends.

    Each has a session of its own: Linux may divide the processor among sessions first, and
    eight processes of one session would then be no more than one.
    """
    command = [sys.executable, "-c", _SPIN, str(os.getpid()), str(at_most)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.extend(subprocess.Popen(command, start_new_session=True) for _ in range(number))
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def use_normal_priority() -> None:
    """Give this process and its children nice 0, where the operating system allows it."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
