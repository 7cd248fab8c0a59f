"""What the running system costs while little happens: ``zmart up`` with the demo at its pace.

Measured once the first two markets have ended: processor time, memory shared out among its
users (PSS), commits and write-ahead log of Postgres, rows of sensor ticks, and the daemon's log.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import psutil
import psycopg

from benchmarks.rows import Row
from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import two_markets_finished
from zmart_pipelines.store.engine import Role

GOAL: Final = 15.0
_HOUR: Final = 3600.0
# Of the other quantities, in the units in which they are printed.
GOALS: Final[Mapping[str, float]] = {
    "MB of memory (PSS)": 800.0,
    "commits/s": 31.0,
    "MB of WAL an hour": 21.0,
    "MB of daemon log an hour": 0.5,
    "rows of ticks an hour": 2_430.0,
}
# Entries of each profile that is printed.
_SHOWN: Final = 6


class Totals(NamedTuple):
    """Counters that only grow, at one moment (seconds of the monotonic clock).

    Attributes:
        writes: Rows inserted, updated and deleted, by table.
        runs: Dagster runs so far, by job.
    """

    at: float
    cpu: dict[str, float]
    commits: int
    wal_bytes: int
    ticks: int
    log_bytes: int
    writes: dict[str, int]
    runs: dict[str, int]


def at_rest(quick: bool) -> Row:
    """Return the share of one core that the system takes on a quiet machine, in percent."""
    seconds = 60 if quick else 300
    with RunningSystem() as system:
        system.start()
        system.wait_for(lambda: two_markets_finished(system), 300, "the markets did not finish")
        time.sleep(10)
        before = _totals(system)
        time.sleep(seconds)
        after = _totals(system)
        memory = _pss_megabytes(system)
    elapsed = after.at - before.at
    hourly = _HOUR / elapsed
    share = {
        name: 100 * (after.cpu[name] - before.cpu.get(name, 0.0)) / elapsed for name in after.cpu
    }
    writes = {
        table: (number - before.writes.get(table, 0)) * hourly
        for table, number in after.writes.items()
    }
    # One "reconcile", every ten minutes, writes half a megabyte of WAL: a short measurement with
    # one in it shows too much, and one without shows too little.
    runs = {job: number - before.runs.get(job, 0) for job, number in after.runs.items()}
    figures = {
        "MB of memory (PSS)": sum(memory.values()),
        "commits/s": (after.commits - before.commits) / elapsed,
        "MB of WAL an hour": (after.wal_bytes - before.wal_bytes) * hourly / 1e6,
        "MB of daemon log an hour": (after.log_bytes - before.log_bytes) * hourly / 1e6,
        "rows of ticks an hour": (after.ticks - before.ticks) * hourly,
    }
    value = round(sum(share.values()), 1)
    text = (
        "; ".join(f"{figures[name]:.4g} {name} (goal {goal:g})" for name, goal in GOALS.items())
        + f"; CPU: {_profile(share)} %; memory: {_profile(memory)} MB;"
        f" rows written an hour: {_profile(writes)}; runs meanwhile: {_profile(runs)};"
        f" load {os.getloadavg()[0]:.1f}"
    )
    ok = value <= GOAL and all(figures[name] <= goal for name, goal in GOALS.items())
    return Row("at_rest", value, "% of a core", GOAL, text, ok)


def _profile(parts: Mapping[str, float | int]) -> str:
    """Return the largest parts, the largest first."""
    largest = sorted(parts, key=parts.__getitem__, reverse=True)[:_SHOWN]
    return ", ".join(f"{name} {parts[name]:.4g}" for name in largest)


def _totals(system: RunningSystem) -> Totals:
    with psycopg.connect(system.login(Role.DAGSTER)) as conn:
        row = conn.execute(
            "SELECT (SELECT sum(xact_commit) FROM pg_stat_database),"
            " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
        ).fetchone()
        tables = conn.execute(
            "SELECT schemaname || '.' || relname, n_tup_ins, n_tup_ins + n_tup_upd + n_tup_del"
            " FROM pg_stat_user_tables"
        ).fetchall()
        runs = conn.execute(
            "SELECT pipeline_name, count(*) FROM dagster.runs GROUP BY 1"
        ).fetchall()
    if row is None:
        raise RuntimeError("Postgres did not answer")
    inserted = {name: int(number) for name, number, _ in tables}
    log = system.state / "logs" / "daemon.log"
    return Totals(
        at=time.monotonic(),
        cpu=_cpu(system),
        commits=int(row[0]),
        wal_bytes=int(row[1]),
        ticks=inserted["dagster.job_ticks"],
        log_bytes=log.stat().st_size,
        writes={name: int(number) for name, _, number in tables},
        runs={str(job): int(number) for job, number in runs},
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


def _pss_megabytes(system: RunningSystem) -> dict[str, float]:
    """Return the memory of every process, by child of the supervisor."""
    owners: dict[int, str] = {}
    for name in system.names():
        process = psutil.Process(system.pid(name))
        owners |= {member.pid: name for member in (process, *process.children(recursive=True))}
    found: dict[str, float] = {}
    for process in system.processes():
        with contextlib.suppress(psutil.Error, OSError):
            megabytes = process.memory_full_info().pss / 1e6
            owner = owners.get(process.pid, "other")
            found[owner] = found.get(owner, 0.0) + megabytes
    return found
