"""Schedules: what happens by the clock even when no sensor asks for it.

Dagster has no option to skip while a run of the same job is under way; ours do, so that a
slow run is never followed by a queue of its own kind.
"""

from __future__ import annotations

import dagster as dg

from assets import jobs
from assets.maintenance import clean_up
from assets.sensors.asking import in_flight

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


SCHEDULES = [_schedule(*entry) for entry in _CLOCK]
