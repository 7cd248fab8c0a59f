"""Tell whether a run of a job is queued or in progress."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

# A run older than this counts as dead, whatever its record says: its worker is gone. Run
# monitoring ends any run after 900 s, but markets must not wait that long for a submission run,
# which ends by itself sooner.
ABANDONED_AFTER = timedelta(seconds=900)
SUBMISSION_ABANDONED_AFTER = timedelta(seconds=150)

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def in_flight(
    instance: dg.DagsterInstance, job: str, abandoned_after: timedelta = ABANDONED_AFTER
) -> bool:
    """Return whether a run of ``job`` is queued or in progress."""
    since = datetime.now(UTC) - abandoned_after
    unfinished = dg.RunsFilter(job_name=job, statuses=_UNFINISHED, created_after=since)
    return bool(instance.get_run_records(unfinished, limit=1))
