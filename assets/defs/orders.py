"""``submissions/orders``: what operators ordered through the API, carried out.

The sensor starts a run for each order. Materialized by hand without a config, the asset only shows
what is open.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.asset_jobs import SUBMISSION_TAGS, asset_job
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.resources import Backend, BackendResource
from zmart_pipelines.operations.order_execution import Means, carry_out
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import orders as queries
from zmart_pipelines.store.tables import orders as tables

# Open orders that one materialization shows.
_SHOWN = 100
_COLUMNS = ("id", "kind", "status", "reason", "attempts", "requested_at", "result")


class OrderConfig(dg.Config):
    """The order to carry out. 0: only show the open ones."""

    order: int = Field(0, description="The order's number, as GET /api/orders shows it.")


def means_of(backend: Backend) -> Means:
    """Return what acts need from outside."""
    return Means(
        pipelines=backend.engine(Role.PIPELINES),
        ingest=backend.engine(Role.INGEST),
        reader=lambda: backend.reader,
        settings=backend.settings,
    )


@dg.multi_asset(
    name="orders",
    specs=[
        asset_spec(
            "submissions/orders",
            table=tables.orders,
            description="What operators order through the API: resolutions, backfills, resets and "
            "the like, each carried out once, with its result and a row in the audit log.",
            skippable=True,
        )
    ],
)
def orders(
    context: dg.AssetExecutionContext, backend: BackendResource, config: OrderConfig
) -> Iterator[dg.MaterializeResult[None]]:
    """Carry out the order of the config, and show the open orders."""
    shown: dict[str, dg.MetadataValue | str | int] = {}
    if config.order:
        try:
            ended = carry_out(means_of(backend), config.order, context.run.run_id)
        except LookupError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        shown = {"Order": config.order, "Status": ended.status, "Result": ended.result}
        context.log.info("order %d is %s: %s", config.order, ended.status, ended.result)
    with backend.engine(Role.PIPELINES).connect() as conn:
        still_open = queries.open_orders(conn, _SHOWN)
    shown["Open orders"] = metadata.table(metadata.rows(still_open, *_COLUMNS))
    result = dg.MaterializeResult[None](asset_key=["submissions", "orders"], metadata=shown)
    yield from record_result(context, result, changed=bool(config.order))


carry_out_order_job = asset_job(
    "carry_out_order",
    "submissions/orders",
    tags=SUBMISSION_TAGS,
    description="Carries out an order of an operator; without a config it shows the open orders.",
)
