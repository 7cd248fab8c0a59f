"""The nightly clean-up of what would otherwise grow without bound.

``zmart_pipelines.store.retention`` says what of our own tables expires, and
``assets.dagster_retention`` what of Dagster's.
"""

import dagster as dg

from assets.as_of import AsOf
from assets.asset_jobs import job_schedule
from assets.catalog import OWNERS
from assets.dagster_retention import delete_rows, delete_runs
from assets.resources import BackendResource
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.retention import prune, prune_files


@dg.op(description="Deletes rows of the product's tables that are past their retention.")
def prune_tables(context: dg.OpExecutionContext, config: AsOf, backend: BackendResource) -> None:
    """Apply every retention rule, unpin files that nothing names, and say what each freed."""
    engine, settings = backend.engine(Role.PIPELINES), backend.settings
    pruned = prune(engine, settings, config.moment)
    store = configured_pin_store(settings)
    pruned += prune_files(engine, settings, config.moment, store.unpin)
    freed: dict[str, int] = {}
    for result in pruned:
        freed[result.table] = freed.get(result.table, 0) + result.rows
    context.add_output_metadata({f"Rows deleted from {table}": n for table, n in freed.items()})


@dg.op(description="Deletes Dagster runs, ticks, check results and events past their retention.")
def prune_dagster(context: dg.OpExecutionContext, config: AsOf, backend: BackendResource) -> None:
    """Delete by what happened: runs that signed a transaction are kept longest."""
    settings, now = backend.settings, config.moment
    runs = delete_runs(context.instance, backend.engine(Role.READ), settings, now)
    rows = delete_rows(context.instance, settings, now)
    context.add_output_metadata(
        {
            "Runs deleted": runs,
            **{f"Rows deleted from dagster.{table}": n for table, n in rows.items()},
        }
    )


@dg.job(
    name="clean_up",
    description="Deletes what is past its retention, of our tables and of Dagster's.",
    executor_def=dg.in_process_executor,
    owners=OWNERS,
)
def clean_up() -> None:
    """Do both, in any order."""
    prune_tables()
    prune_dagster()


clean_up_schedule = job_schedule(
    clean_up.name, "17 3 * * *", "Every night: deletes what is past its retention."
)
