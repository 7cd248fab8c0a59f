"""The nightly clean-up of what would grow indefinitely: old runs and expired drafts.

Ticks are purged by ``deploy/dagster.yaml``; everything else that Dagster keeps per run is deleted
only with the run. Runs of jobs that submit transactions are kept: they record what was sent.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy import delete, func

from assets.asset_jobs import EXPIRES, RETENTION_TAG, job_schedule
from assets.resources import BackendResource
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.community import market_drafts

# Runs deleted in one night, so that the job ends in time even after a long pause.
MAX_RUNS = 5000
_PAGE = 200

_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def delete_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete finished runs of jobs whose runs expire; return how many.

    Args:
        instance: Holds the runs.
        before: Runs that were updated later are kept.
    """
    old = dg.RunsFilter(tags={RETENTION_TAG: EXPIRES}, statuses=_FINISHED, updated_before=before)
    deleted = 0
    while deleted < MAX_RUNS:
        page = instance.get_runs(old, limit=_PAGE)
        for run in page:
            instance.delete_run(run.run_id)
        deleted += len(page)
        if len(page) < _PAGE:
            break
    return deleted


@dg.op(description="Deletes old finished runs that submitted nothing, with their events.")
def delete_old_runs(context: dg.OpExecutionContext, backend: BackendResource) -> None:
    """Delete runs older than ``dagster_keep_days`` days."""
    before = datetime.now(UTC) - timedelta(days=backend.settings.dagster_keep_days)
    deleted = delete_runs(context.instance, before)
    context.add_output_metadata({"Runs deleted": deleted})


@dg.op(description="Deletes market drafts that expired without their market being created.")
def delete_expired_drafts(context: dg.OpExecutionContext, backend: BackendResource) -> None:
    """Delete expired drafts; drafts are never listed, so no one needs them."""
    expired = delete(market_drafts).where(
        market_drafts.c.matched_at.is_(None), market_drafts.c.expires_at < func.now()
    )
    with backend.engine(Role.PIPELINES).begin() as conn:
        deleted = conn.execute(expired).rowcount
    context.add_output_metadata({"Drafts deleted": deleted})


@dg.job(
    name="clean_up",
    description="Deletes old runs and expired market drafts.",
    executor_def=dg.in_process_executor,
    tags={RETENTION_TAG: EXPIRES},
)
def clean_up() -> None:
    """Do both, in any order."""
    delete_old_runs()
    delete_expired_drafts()


clean_up_schedule = job_schedule(
    clean_up.name, "17 3 * * *", "Every night: deletes old runs and expired market drafts."
)
