"""Tell from a job's run records whether another run of it may be requested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

# A run that started longer ago counts as dead, whatever its record says: its worker is gone. Run
# monitoring ends any run after 900 s, but markets must not wait that long for a submission run,
# which ends by itself sooner.
ABANDONED_AFTER = timedelta(seconds=900)
SUBMISSION_ABANDONED_AFTER = timedelta(seconds=150)

# A run that was created but not queued within this time never will be: its creator is gone.
QUEUED_WITHIN = timedelta(seconds=180)

# After a run that could not be started the next one waits: the machine is overloaded or the code
# server is away, and another launch would only add to it.
PAUSE_AFTER_FAILED_START = timedelta(seconds=60)

_WAITING = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING}
_UNFINISHED = [
    *_WAITING,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Unfinished runs of one job that are read; more than a few mean that old records are stuck.
_MOST = 25


def in_flight(
    instance: dg.DagsterInstance, job: str, abandoned_after: timedelta = ABANDONED_AFTER
) -> bool:
    """Return whether a run of ``job`` is queued or in progress.

    A queued run always counts: a second one would only queue behind it.
    """
    now = datetime.now(UTC)
    unfinished = dg.RunsFilter(job_name=job, statuses=_UNFINISHED)
    records = instance.get_run_records(unfinished, limit=_MOST)
    return any(_counts(record, now, abandoned_after) for record in records)


def pause_after_failed_start(instance: dg.DagsterInstance, job: str) -> float:
    """Return the seconds to wait because the latest run of ``job`` could not be started."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
    if not records:
        return 0.0
    latest = records[0]
    if latest.dagster_run.status is not dg.DagsterRunStatus.FAILURE or latest.start_time:
        return 0.0
    ends = _utc(latest.update_timestamp) + PAUSE_AFTER_FAILED_START
    return max(0.0, (ends - datetime.now(UTC)).total_seconds())


def _counts(record: dg.RunRecord, now: datetime, abandoned_after: timedelta) -> bool:
    status = record.dagster_run.status
    created = _utc(record.create_timestamp)
    if status in _WAITING:
        return True
    if status is dg.DagsterRunStatus.NOT_STARTED:
        return now - created < QUEUED_WITHIN
    started = created if record.start_time is None else _moment(record.start_time)
    return now - started < abandoned_after


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _utc(moment: datetime) -> datetime:
    """Dagster stores UTC without saying so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
