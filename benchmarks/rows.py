"""A row of the table, and how its figures are measured."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import msgspec


class Row(msgspec.Struct, frozen=True):
    """One measured figure.

    Attributes:
        goal: What ``value`` should reach, in ``unit``.
        rival: What it was measured against, with both times, or why that could not run.
        ok: Whether the goal is met.
    """

    name: str
    value: float | None
    unit: str
    goal: float
    rival: str
    ok: bool


class RivalMissing(Exception):
    """The rival cannot run here; the message gives the reason."""


def ratio_row(name: str, goal: float, rival: str, ours: float, theirs: float, unit: str) -> Row:
    """Return a row for the ratio of the rival's time to ours; both times in ``unit``."""
    value = round(theirs / ours, 2)
    text = f"{rival}: {theirs:.2f} {unit}, ours {ours:.2f}"
    return Row(name, value, "times as fast", goal, text, value >= goal)


def cpu_seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the least processor seconds of a call in ``rounds``, after a warm-up, without GC."""
    work()
    best = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            start = time.process_time_ns()
            work()
            best = min(best, (time.process_time_ns() - start) / 1e9)
    finally:
        gc.enable()
    return best
