"""The sensor that goes on with relayed transactions that the API has left behind."""

from __future__ import annotations

import time

import dagster as dg

from assets.catalog import OWNERS
from assets.defs.relay import ABANDONED_SECONDS, relay_transactions_job
from assets.resources import BackendResource
from assets.run_requests import request_run
from assets.runs_in_flight import SUBMISSION_ABANDONED_AFTER
from assets.sensor_ticks import PROMPT_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.relay.rows import unheld_signatures
from zmart_pipelines.store.engine import Role

# Transactions that name the work of one request; a run takes whatever is due.
_MAX_NAMED = 100


@dg.sensor(
    owners=OWNERS,
    name="relay_sensor",
    job=relay_transactions_job,
    minimum_interval_seconds=PROMPT_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts relay_transactions when a signed transaction that the API stored is held "
    "by no process and has not come to its end.",
)
@skip_on_outage("pipelines")
def relay_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request a run for the transactions without a holder."""
    with backend.engine(Role.READ).connect() as conn:
        work = unheld_signatures(conn, abandoned=ABANDONED_SECONDS, number=_MAX_NAMED)
    return request_run(
        context, relay_transactions_job.name, work, time.time(), SUBMISSION_ABANDONED_AFTER
    )
