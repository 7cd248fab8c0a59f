"""The sensor that starts a run for each order of an operator.

The run key is the order and the number of its run, so that two ticks that read the same order start
one run. The next number comes only after the run before has ended without ending the order: it was
killed, or what it needs from outside was away.
"""

from __future__ import annotations

from typing import Final

import dagster as dg

from assets.catalog import OWNERS
from assets.defs.backfill import MAX_RUN_SECONDS
from assets.defs.orders import carry_out_order_job, means_of
from assets.resources import Backend, BackendResource
from assets.run_lanes import Lane, lane_tags
from assets.sensor_ticks import PROMPT_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.operations.order_execution import MOST_ATTEMPTS, give_up
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.orders import OrderRow, open_orders

ORDER_TAG: Final = "zmart/order"
# Orders that one tick starts; others wait for the next.
_MOST: Final = 10
_ENDED: Final = frozenset(
    {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
)


@dg.sensor(
    owners=OWNERS,
    name="order_sensor",
    job=carry_out_order_job,
    minimum_interval_seconds=PROMPT_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run for each order that an operator made through the API, and another "
    "one where a run ended without a result; gives an order up after five.",
)
@skip_on_outage()
def order_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request a run of each open order that has none in flight."""
    with backend.engine(Role.PIPELINES).connect() as conn:
        found = open_orders(conn, _MOST)
    requests = [
        request for order in found if (request := _request(context.instance, backend, order))
    ]
    if not requests:
        reason = "No order is open." if not found else "Every open order has its run."
        return dg.SkipReason(reason)
    return dg.SensorResult(run_requests=requests)


def _request(
    instance: dg.DagsterInstance, backend: Backend, order: OrderRow
) -> dg.RunRequest | None:
    """Return the next run of an order; None while one is in flight, or where it was given up."""
    runs = instance.get_runs(dg.RunsFilter(tags={ORDER_TAG: str(order.id)}))
    if any(run.status not in _ENDED for run in runs):
        return None
    if len(runs) >= MOST_ATTEMPTS:
        give_up(means_of(backend), order)
        return None
    return dg.RunRequest(
        run_key=f"order-{order.id}-{len(runs) + 1}",
        run_config={"ops": {"orders": {"config": {"order": order.id}}}},
        tags={ORDER_TAG: str(order.id), **_tags(order)},
    )


def _tags(order: OrderRow) -> dict[str, str]:
    """Return the tags of orders that may take hours."""
    if order.kind != "backfill":
        return {}
    return {**lane_tags(Lane.BULK), "dagster/max_runtime": str(MAX_RUN_SECONDS)}
