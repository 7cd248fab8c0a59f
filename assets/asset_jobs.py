"""Build jobs over assets, and the schedules that start them.

Every job runs in one process (``Definitions`` sets the executor): one process per step would cost
a second of time and of CPU more. No job has a RetryPolicy: under one, terminating a run enters
the body again, and a body may be sending transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import dagster as dg

from assets.catalog import DASHBOARD, OWNERS, dashboard_link
from assets.dagster_internals import UnresolvedAssetJobDefinition
from assets.resources import Backend, BackendResource
from assets.run_lanes import LANES_BY_JOB, Lane, lane_of_assets, lane_tags
from assets.runs_in_flight import in_flight

SUBMISSION_TAGS: Mapping[str, str] = {
    # A submission run drives its attempts for 90 s at most; after twice that it hangs.
    "dagster/max_runtime": "180",
}

WorkDue: TypeAlias = Callable[[Backend], int]
"""Return how many things a job would have to do now."""


def asset_job(
    name: str,
    *keys: str,
    description: str,
    tags: Mapping[str, str] | None = None,
    checks: dg.AssetSelection | None = None,
    lane: Lane | None = None,
) -> UnresolvedAssetJobDefinition:
    """Return a job that materializes assets.

    Args:
        name: Name of the job.
        keys: The assets, as ``group/name``. Their checks are not evaluated, because a fast run
            must not wait for them; name those that are in ``checks``.
        description: Shown in the UI.
        tags: Of each run, e.g. ``SUBMISSION_TAGS``.
        checks: The checks that are evaluated after the assets.
        lane: The lane of the run queue; by default that of the assets.
    """
    paths = [key.split("/") for key in keys]
    lane = lane or lane_of_assets([dg.AssetKey(path) for path in paths])
    LANES_BY_JOB[name] = lane
    selection = dg.AssetSelection.assets(*paths).without_checks()
    return dg.define_asset_job(
        name,
        selection=selection if checks is None else selection | checks,
        description=description,
        tags={**lane_tags(lane), **(tags or {})},
        metadata={DASHBOARD: dashboard_link("/app")},
        owners=OWNERS,
    )


def job_schedule(
    job: str, cron: str, description: str, work_due: WorkDue | None = None
) -> dg.ScheduleDefinition:
    """Return the schedule ``<job>_schedule``, which skips while a run of the job is in flight.

    Dagster has no such option. With it, a slow run is never followed by a queue of its own kind.

    Args:
        job: Name of the job.
        cron: When it is due, in UTC.
        description: Shown in the UI.
        work_due: Counts the work; the tick is skipped when there is none. The count becomes the
            run's tag ``zmart/due``.
    """

    @dg.schedule(
        name=f"{job}_schedule",
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        owners=OWNERS,
    )
    def tick(
        context: dg.ScheduleEvaluationContext, backend: BackendResource
    ) -> dg.RunRequest | dg.SkipReason:
        if in_flight(context.instance, job):
            return dg.SkipReason(f"A run of {job} is still in flight.")
        if work_due is None:
            return dg.RunRequest()
        number = work_due(backend)
        if not number:
            return dg.SkipReason("Nothing is due.")
        return dg.RunRequest(tags={"zmart/due": str(number)})

    return tick
