"""What the running system costs while little happens: ``zmart up`` with the demo at its pace.

Measured once the first two markets have ended: processor time, memory shared out among its
users (PSS), commits and write-ahead log of Postgres, rows of sensor ticks, and the daemon's log.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final, NamedTuple

import psutil
import psycopg

from benchmarks.rows import Row
from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import two_markets_finished
from zmart_pipelines.store.engine import Role

GOAL: Final = 15.0
GOAL_MEGABYTES: Final = 800.0
_HOUR: Final = 3600.0


class Totals(NamedTuple):
    """Counters that only grow, at one moment (seconds of the monotonic clock)."""

    at: float
    cpu: dict[str, float]
    commits: int
    wal_bytes: int
    ticks: int
    log_bytes: int


def at_rest(quick: bool) -> Row:
    """Return the share of one core that the system takes on a quiet machine, in percent."""
    seconds = 60 if quick else 300
    system = RunningSystem()
    try:
        system.start()
        system.wait_for(lambda: two_markets_finished(system), 300, "the markets did not finish")
        time.sleep(10)
        before = _totals(system)
        time.sleep(seconds)
        after = _totals(system)
        memory = _pss_megabytes(system)
    finally:
        system.discard()
    elapsed = after.at - before.at
    load = os.getloadavg()[0]
    share = {
        name: 100 * (after.cpu[name] - before.cpu.get(name, 0.0)) / elapsed for name in after.cpu
    }
    value = round(sum(share.values()), 1)
    parts = ", ".join(f"{name} {share[name]:.1f}" for name in sorted(share, key=share.__getitem__))
    hourly = _HOUR / elapsed
    text = (
        f"{parts} %; {memory:.0f} MB (goal {GOAL_MEGABYTES:.0f});"
        f" {(after.commits - before.commits) / elapsed:.0f} commits/s,"
        f" {(after.wal_bytes - before.wal_bytes) * hourly / 1e6:.0f} MB of WAL,"
        f" {(after.log_bytes - before.log_bytes) * hourly / 1e6:.2f} MB of daemon log and"
        f" {(after.ticks - before.ticks) * hourly:.0f} rows of ticks an hour;"
        f" load {load:.1f}"
    )
    ok = value <= GOAL and memory <= GOAL_MEGABYTES
    return Row("at_rest", value, "% of a core", GOAL, text, ok)


def _totals(system: RunningSystem) -> Totals:
    with psycopg.connect(system.login(Role.DAGSTER)) as conn:
        row = conn.execute(
            "SELECT (SELECT sum(xact_commit) FROM pg_stat_database),"
            " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'),"
            " (SELECT n_tup_ins FROM pg_stat_user_tables"
            "  WHERE schemaname = 'dagster' AND relname = 'job_ticks')"
        ).fetchone()
    if row is None:
        raise RuntimeError("Postgres did not answer")
    log = system.state / "logs" / "daemon.log"
    return Totals(
        time.monotonic(), _cpu(system), int(row[0]), int(row[1]), int(row[2]), log.stat().st_size
    )


def _cpu(system: RunningSystem) -> dict[str, float]:
    """Processor seconds so far by child of the supervisor, ended grandchildren included."""
    totals: dict[str, float] = {}
    for name in system.names():
        process = psutil.Process(system.pid(name))
        totals[name] = 0.0
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = member.cpu_times()
                totals[name] += times.user + times.system
                totals[name] += times.children_user + times.children_system
    return totals


def _pss_megabytes(system: RunningSystem) -> float:
    total = 0
    for process in system.processes():
        with contextlib.suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss
    return total / 1e6
