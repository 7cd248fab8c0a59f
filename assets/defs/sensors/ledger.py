"""Sensors that keep the ledger complete: what deliveries left to be read, and the poll."""

from __future__ import annotations

import time
from datetime import timedelta

import dagster as dg

from assets.catalog import OWNERS
from assets.defs.deliveries import process_deliveries_job
from assets.defs.finalized_window import finalized_window_job
from assets.resources import BackendResource
from assets.run_requests import request_run
from assets.sensor_ticks import LATER_INTERVAL, PROMPT_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.deliveries import pending_deliveries
from zmart_pipelines.ledger.readers.hints import read_due_hints
from zmart_pipelines.monitoring.heartbeats import record_heartbeat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.committed_changes import overdue_deliveries

# The API ingests a delivery within milliseconds of storing it; an older one was left pending.
OVERDUE_AFTER = timedelta(seconds=3)
_MAX_DELIVERIES = 100

# Seconds that a poll, or reading hints, may take; the rest of the tick needs time too.
POLL_SECONDS = 1.2


@dg.sensor(
    owners=OWNERS,
    name="delivery_sensor",
    job=process_deliveries_job,
    minimum_interval_seconds=LATER_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts process_deliveries when the API has stored a webhook delivery but not "
    "ingested it, and reads by RPC, without a run, the transactions that enhanced webhooks named "
    "without their logs.",
)
@skip_on_outage()
def delivery_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request a run for overdue deliveries that may still be retried; read the hints due."""
    with backend.engine(Role.READ).connect() as conn:
        retryable = set(pending_deliveries(conn, _MAX_DELIVERIES))
        overdue = overdue_deliveries(conn, OVERDUE_AFTER) if retryable else []
    work = [str(delivery).encode() for delivery in overdue if delivery in retryable]
    if work:
        # Their bodies need no node; hints wait for the next tick.
        return request_run(context, process_deliveries_job.name, work, time.time())
    report = read_due_hints(
        backend.engine(Role.INGEST), backend.sensor_rpc, backend.settings, seconds=POLL_SECONDS
    )
    return dg.SkipReason(
        f"No delivery is overdue. {report.read} hints read, {report.foreign} of other programs, "
        f"{report.postponed} to be retried, {report.unknown} expired."
    )


@dg.sensor(
    owners=OWNERS,
    name="confirmed_poll_sensor",
    job=finalized_window_job,
    minimum_interval_seconds=PROMPT_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads what was confirmed since its last tick and ingests what webhooks missed, "
    "within about a second and without a run. Starts read_finalized_window when something "
    "could not be read.",
)
@skip_on_outage("event-indexer")
def confirmed_poll_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Poll; the finalized reader reads what the poll could not."""
    report = poll_confirmed(
        backend.engine(Role.INGEST), backend.sensor_rpc, backend.settings, seconds=POLL_SECONDS
    )
    with backend.engine(Role.PIPELINES).begin() as conn:
        record_heartbeat(conn, "event-indexer", {"confirmed_slot": report.last_slot})
    if not report.complete:
        context.log.warning("%d of %d transactions could not be read", report.unread, report.listed)
        return request_run(context, finalized_window_job.name, [b"unread"], time.time())
    new = report.result.new_transactions
    return dg.SkipReason(
        f"Up to confirmed slot {report.last_slot}: {report.listed} listed, {new} were missing."
    )
