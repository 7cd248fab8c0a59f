"""What is deleted from Dagster's own tables: runs, ticks, checks, events without a run.

Dagster deletes a run's events with the run and can purge ticks, at the cost of two statements
after every tick; it has no retention for anything else. The statements below run once a night.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
import msgspec
from sqlalchemy import Engine, select, text

from assets.dagster_internals import storage_engine
from assets.run_lanes import LANE_TAG, Lane
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.ops import attempts

# Runs deleted by one job, so that it ends in time even after a long pause.
MAX_RUNS: Final = 20_000
PAGE: Final = 500
# Rows of one statement.
BATCH: Final = 20_000

_FINISHED: Final = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


class Rule(msgspec.Struct, frozen=True):
    """Retention of one of Dagster's tables.

    Attributes:
        table: Name in Dagster's schema.
        condition: SQL over alias ``t`` and ``:before`` (UTC): which rows are not needed.
        days: Name of the setting that says how many days such a row is kept.
    """

    table: str
    condition: str
    days: str


RULES: Final[Sequence[Rule]] = (
    Rule(
        "asset_check_executions",
        "t.create_timestamp < :before AND EXISTS ("
        " SELECT FROM asset_check_executions AS later"
        " WHERE later.asset_key = t.asset_key AND later.check_name = t.check_name"
        " AND later.id > t.id)",
        "runs_keep_days",
    ),
    Rule(
        "event_logs",
        # What was reported without a run. The last event of each asset, type and partition stays:
        # the UI and freshness policies read it.
        "t.run_id = '' AND t.timestamp < :before AND EXISTS ("
        " SELECT FROM event_logs AS later WHERE later.run_id = ''"
        " AND later.asset_key = t.asset_key AND later.dagster_event_type = t.dagster_event_type"
        " AND later.partition IS NOT DISTINCT FROM t.partition AND later.id > t.id)",
        "runs_keep_days",
    ),
    Rule(
        "event_logs",
        # The result of a check that was reported without a run has no asset in this table. The
        # last one of each check is still named by its execution, deleted before.
        "t.run_id = '' AND t.asset_key IS NULL AND t.timestamp < :before AND NOT EXISTS ("
        " SELECT FROM asset_check_executions AS e WHERE e.evaluation_event_storage_id = t.id)",
        "runs_keep_days",
    ),
    Rule(
        "asset_event_tags",
        "t.event_timestamp < :before"
        " AND NOT EXISTS (SELECT FROM event_logs AS e WHERE e.id = t.event_id)",
        "runs_keep_days",
    ),
    Rule("job_ticks", "t.status = 'SKIPPED' AND t.timestamp < :before", "idle_ticks_keep_days"),
    Rule("job_ticks", "t.timestamp < :before", "failures_keep_days"),
)


def keep_days(run: dg.DagsterRun, submitted: Collection[str], settings: Settings) -> int:
    """Return for how many days a finished run is kept, by what happened in it.

    Args:
        run: The run.
        submitted: Ids of runs that sent a transaction.
        settings: Hold the days.
    """
    if run.run_id in submitted or run.tags.get(LANE_TAG) == Lane.OPERATORS:
        return settings.submission_runs_keep_days
    if run.status is dg.DagsterRunStatus.FAILURE:
        return settings.failures_keep_days
    return settings.runs_keep_days


def delete_runs(
    instance: dg.DagsterInstance, engine: Engine, settings: Settings, now: datetime
) -> int:
    """Delete finished runs past their retention, with events and compute logs; return how many.

    Args:
        instance: Holds the runs.
        engine: Reads which runs sent a transaction.
        settings: Hold the days.
        now: As of when, in UTC.
    """
    expired = _expired_runs(instance, engine, settings, now)
    for run_id in expired:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    return len(expired)


def _expired_runs(
    instance: dg.DagsterInstance, engine: Engine, settings: Settings, now: datetime
) -> list[str]:
    """Ids of at most ``MAX_RUNS`` runs past their retention, the oldest first."""
    finished = dg.RunsFilter(
        statuses=_FINISHED, updated_before=now - timedelta(days=settings.runs_keep_days)
    )
    expired: list[str] = []
    cursor: str | None = None
    while records := instance.get_run_records(finished, PAGE, cursor=cursor, ascending=True):
        runs = {record.dagster_run.run_id: record for record in records}
        submitted = _submitted(engine, runs)
        for run_id, record in runs.items():
            days = keep_days(record.dagster_run, submitted, settings)
            if _utc(record.update_timestamp) < now - timedelta(days=days):
                expired.append(run_id)
        cursor = records[-1].dagster_run.run_id
        if len(expired) >= MAX_RUNS:
            break
    return expired[:MAX_RUNS]


def _utc(moment: datetime) -> datetime:
    """Dagster stores UTC without saying so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _submitted(engine: Engine, run_ids: Collection[str]) -> set[str]:
    """Those of the runs that signed a transaction."""
    query = select(attempts.c.run_id).where(attempts.c.run_id.in_(list(run_ids)))
    with engine.connect() as conn:
        return set(conn.execute(query).scalars())


def delete_rows(instance: dg.DagsterInstance, settings: Settings, now: datetime) -> dict[str, int]:
    """Apply ``RULES``; return how many rows each table lost.

    Args:
        instance: Holds the tables.
        settings: Hold the days.
        now: As of when, in UTC.
    """
    deleted: Counter[str] = Counter()
    engine = storage_engine(instance)
    for rule in RULES:
        before = now - timedelta(days=getattr(settings, rule.days))
        deleted[rule.table] += _delete(engine, rule, before.replace(tzinfo=None))
    return dict(deleted)


def _delete(engine: Engine, rule: Rule, before: datetime) -> int:
    statement = text(
        f"DELETE FROM {rule.table} WHERE ctid = ANY (ARRAY("  # noqa: S608 - constants of this module
        f"SELECT t.ctid FROM {rule.table} AS t WHERE {rule.condition} LIMIT {BATCH}))"
    )
    total = 0
    while True:
        with engine.connect() as conn:
            rows = conn.execute(statement, {"before": before}).rowcount
        total += rows
        if rows < BATCH:
            return total
