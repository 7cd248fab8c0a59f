"""The running system beside eight busy processes: is what it owes done in time, and is it honest?

``zmart up`` as shipped, but with the demo's cast at its busy pace, so that several markets are
due for something all the time.
"""

from __future__ import annotations

import time
from typing import Final

from benchmarks.busy_processes import busy_processes, use_normal_priority
from benchmarks.rows import Row
from tests.fixtures.control_plane import (
    MOST_LAG_SECONDS,
    MOST_SECONDS,
    Observer,
    Runs,
    Samples,
    busy_cast,
    read_runs,
)
from tests.fixtures.owed_actions import ACTIONS
from tests.fixtures.running_system import RunningSystem
from zmart_pipelines.store.engine import Role

GOAL: Final = MOST_SECONDS
BUSY: Final = 8
_PAUSE: Final = 1.0
# Seconds after the load within which nothing may be owed any more.
_RECOVERY: Final = 180.0


def under_load(quick: bool) -> Row:
    """Return the longest time that an owed action took, in seconds."""
    seconds = 150.0 if quick else 600.0
    use_normal_priority()
    with RunningSystem("--no-demo") as system:
        system.start()
        observer = Observer(system)
        with busy_processes(BUSY, at_most=seconds + 120), busy_cast(system):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                observer.sample()
                time.sleep(_PAUSE)
        recovery = _seconds_until_idle(observer)
        return _row(observer, read_runs(system.login(Role.DAGSTER)), recovery, _endings(system))


def _seconds_until_idle(observer: Observer) -> float | None:
    started = time.monotonic()
    while time.monotonic() - started < _RECOVERY:
        if observer.is_idle():
            return time.monotonic() - started
        time.sleep(_PAUSE)
    return None


def _endings(system: RunningSystem) -> int:
    """Return how many parts ended by themselves and were started again."""
    return system.output.read_text().count(" ended (")


def _row(observer: Observer, runs: Runs, recovery: float | None, endings: int) -> Row:
    samples, owed = observer.samples, observer.owed
    times = {action: owed.seconds(action) for action in ACTIONS}
    everything = [seconds for some in times.values() for seconds in some]
    value = round(max(everything), 1) if everything else None
    lost = runs.failed_to_start + runs.discarded
    lag = max(lag.seconds for lag in samples.lags)
    slots = max(lag.slots for lag in samples.lags)
    idle = "not idle again" if recovery is None else f"idle again {recovery:.0f} s after the load"
    parts = [
        *(_times(action, times[action]) for action in ACTIONS),
        f"finalized lag at most {lag:.0f} s (goal {MOST_LAG_SECONDS:.0f}) and {slots} slots",
        _run_text(runs),
        f"{runs.failed_ticks} failed ticks, {endings} parts restarted",
        _health_text(samples),
        idle,
        f"load average {sum(samples.loads) / len(samples):.1f}, at most {max(samples.loads):.1f}",
    ]
    ok = (
        value is not None
        and all(times.values())
        and value <= GOAL
        and lag < MOST_LAG_SECONDS
        and not lost
        and not samples.falsely_green
        and recovery is not None
    )
    return Row("under_load", value, "s for the slowest action", GOAL, "; ".join(parts), ok)


def _run_text(runs: Runs) -> str:
    return (
        f"{runs.total} runs, {runs.succeeded} succeeded, {runs.failed_to_start} failed to start,"
        f" {runs.discarded} discarded (goal 0), {runs.failed_later} failed later,"
        f" {runs.unfinished} unfinished; from request to start {runs.wait_median:.1f} /"
        f" {runs.wait_p95:.1f} / {runs.wait_most:.1f} s"
    )


def _health_text(samples: Samples) -> str:
    return (
        f"health green in {samples.green} of {len(samples)} samples, falsely in"
        f" {samples.falsely_green} of {samples.broken} where something was broken (goal 0);"
        f" {samples.failed} samples failed"
    )


def _times(action: str, seconds: list[float]) -> str:
    if not seconds:
        return f"{action}: none was due"
    p50, p95 = (seconds[min(len(seconds) - 1, int(len(seconds) * q))] for q in (0.5, 0.95))
    return f"{action} ({len(seconds)}): {p50:.0f} / {p95:.0f} / {seconds[-1]:.0f} s"
