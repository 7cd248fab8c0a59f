"""Who launched a run: a person in the UI or by GraphQL, or else a sensor or a schedule."""

from __future__ import annotations

from typing import Final

import dagster as dg

from zmart_pipelines.store.audit import DagsterActor, Operator

# Dagster tags runs that it launches by itself. A re-execution by hand keeps none of these.
_AUTOMATIC: Final = ("dagster/sensor_name", "dagster/schedule_name", "dagster/auto_retry_run_id")
# Dagster's own webserver knows no users; what stands in front of it may name one by this tag.
_USER: Final = "user"
_UNKNOWN_USER: Final = "launchpad"


def is_launched_by_person(run: dg.DagsterRun) -> bool:
    """Return whether neither a sensor nor a schedule launched the run."""
    return not any(tag in run.tags for tag in _AUTOMATIC)


def launched_by(run: dg.DagsterRun) -> Operator:
    """Return who launched the run, for the audit log."""
    return Operator(
        DagsterActor(run.tags.get(_USER) or _UNKNOWN_USER),
        "dagster",
        {"run_id": run.run_id, "job": run.job_name},
    )
