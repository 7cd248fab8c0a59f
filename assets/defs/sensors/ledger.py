"""The sensors that keep the ledger whole when webhooks fail: deliveries left open, and the poll."""

from __future__ import annotations

import time
from datetime import timedelta

import dagster as dg

from assets.defs.deliveries import process_deliveries_job
from assets.defs.finalized_window import finalized_window_job
from assets.resources import BackendResource
from assets.run_requests import request
from assets.sensor_ticks import INTERVAL, Tick, patient
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.deliveries import pending_deliveries
from zmart_pipelines.monitoring.heartbeats import beat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.committed_changes import waiting_deliveries

# The API ingests a delivery within milliseconds of storing it. What is older was left open.
LEFT_OPEN = timedelta(seconds=3)
_LOOK = 100

# Of the poll, which must leave time for the rest of the tick.
POLL_SECONDS = 1.2


@dg.sensor(
    name="delivery_sensor",
    job=process_deliveries_job,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts process_deliveries when the API has stored a webhook delivery but not "
    "ingested it.",
)
@patient(None)
def delivery_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for a run when deliveries wait that may still be tried."""
    with backend.engine(Role.READ).connect() as conn:
        may_be_tried = set(pending_deliveries(conn, _LOOK))
        old = waiting_deliveries(conn, LEFT_OPEN) if may_be_tried else []
    work = [str(delivery).encode() for delivery in old if delivery in may_be_tried]
    return request(context, process_deliveries_job.name, work, time.time())


@dg.sensor(
    name="confirmed_poll_sensor",
    job=finalized_window_job,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads what was confirmed since its last look and ingests what webhooks missed, "
    "within a second or so and without a run. Starts read_finalized_window when something "
    "could not be read.",
)
@patient("event-indexer")
def confirmed_poll_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Poll; what it leaves open is the finalized reader's."""
    report = poll_confirmed(
        backend.engine(Role.INGEST), backend.glance, backend.settings, seconds=POLL_SECONDS
    )
    with backend.engine(Role.PIPELINES).begin() as conn:
        beat(conn, "event-indexer", {"confirmed_slot": report.last_slot})
    if not report.complete:
        context.log.warning("%d of %d transactions could not be read", report.unread, report.listed)
        return request(context, finalized_window_job.name, [b"unread"], time.time())
    new = report.result.new_transactions
    return dg.SkipReason(
        f"Up to confirmed slot {report.last_slot}: {report.listed} listed, {new} were missing."
    )
