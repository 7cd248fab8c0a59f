"""The sensor that reads what deliveries without logs only named."""

from __future__ import annotations

import dagster as dg

from assets.resources import BackendResource
from assets.sensor_ticks import INTERVAL, Tick, patient
from zmart_pipelines.ledger.readers.hints import read_due_hints
from zmart_pipelines.store.engine import Role

# Of the reading, which must leave time for the rest of the tick.
READ_SECONDS = 1.2


@dg.sensor(
    name="hint_sensor",
    asset_selection=[dg.AssetKey(["chain", "deliveries"])],
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads by RPC the transactions that enhanced webhooks named without their logs, "
    "within a second or so and without a run.",
)
@patient(None)
def hint_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Read what is due; what a node does not have yet is due again later."""
    report = read_due_hints(
        backend.engine(Role.INGEST), backend.glance, backend.settings, seconds=READ_SECONDS
    )
    return dg.SkipReason(
        f"{report.read} hints read, {report.foreign} of other programs, {report.postponed} wait, "
        f"{report.unknown} given up."
    )
