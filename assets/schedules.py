"""Schedules: what happens by the clock even when no sensor asks for it.

Dagster has no option to skip while a run of the same job is under way; ours do, so that a
slow run is never followed by a queue of its own kind.
"""

from __future__ import annotations

import dagster as dg

from assets import jobs
from assets.maintenance import clean_up
from assets.resources import Backend, BackendResource
from assets.sensors.run_requests import in_flight
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles
from zmart_pipelines.store.queries.markets import chain_now

# Name, job, cron (UTC), what it is for.
_CLOCK = [
    (
        "finalized_window_schedule",
        jobs.read_finalized_window.name,
        "* * * * *",
        "Each minute: reads what has been finalized and extends the proof of completeness.",
    ),
    (
        "vote_schedule",
        jobs.aggregate_votes.name,
        "*/5 * * * *",
        (
            "Every five minutes: counts the proposals and submits what passed, should the sensor "
            "have missed it."
        ),
    ),
    (
        "window_schedule",
        jobs.finalize_markets.name,
        "2-59/5 * * * *",
        "Every five minutes: finalizes what is due, should the sensor have missed it.",
    ),
    (
        "reconcile_schedule",
        jobs.reconcile.name,
        "*/10 * * * *",
        "Every ten minutes: compares the projection with the chain and runs every data check.",
    ),
    (
        "clean_up_schedule",
        clean_up.name,
        "17 3 * * *",
        "Each night: deletes old runs and drafts that expired.",
    ),
]


def _schedule(name: str, job: str, cron: str, description: str) -> dg.ScheduleDefinition:
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if in_flight(context.instance, job):
            return dg.SkipReason(f"A run of {job} is still under way.")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=name,
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=tick,
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _statistics_due(backend: Backend) -> int:
    with backend.engine(Role.READ).connect() as conn:
        return len(candles.due(conn, chain_now(conn)))


@dg.schedule(
    name="statistics_schedule",
    job_name=jobs.refresh_statistics.name,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    description="Each minute in which a market changed: makes its candles and statistics anew.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def statistics_schedule(
    context: dg.ScheduleEvaluationContext, backend: BackendResource
) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run for all markets that are due."""
    if in_flight(context.instance, jobs.refresh_statistics.name):
        return dg.SkipReason("A run of refresh_statistics is still under way.")
    number = _statistics_due(backend)
    if not number:
        return dg.SkipReason("No market has changed.")
    return dg.RunRequest(tags={"zmart/due": str(number)})


SCHEDULES = [*(_schedule(*entry) for entry in _CLOCK), statistics_schedule]
