"""Processor time of other processes, from procfs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Return the processor seconds of a process so far."""
    return _times(pid)[1]


def parent_of(pid: int) -> int:
    """Return the parent of a process, 0 if it has ended."""
    return _times(pid)[0]


def cpu_of_family(pid: int) -> float:
    """Return the processor seconds of a process and its children, ended ones included."""
    everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    times = {one: _times(one) for one in everyone}
    return sum(seconds for one, (parent, seconds) in times.items() if pid in (one, parent))


def _times(pid: int) -> tuple[int, float]:
    """Return parent and processor seconds, ended children included; zeros if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0, 0.0
    return int(fields[1]), sum(map(int, fields[11:15])) / _TICKS
