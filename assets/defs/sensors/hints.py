"""The sensor that reads the transactions named by deliveries without logs."""

from __future__ import annotations

import dagster as dg

from assets.resources import BackendResource
from assets.sensor_ticks import ROUTINE_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.ledger.readers.hints import read_due_hints
from zmart_pipelines.store.engine import Role

# Seconds that reading may take; the rest of the tick needs time too.
READ_SECONDS = 1.2


@dg.sensor(
    name="hint_sensor",
    asset_selection=[dg.AssetKey(["chain", "deliveries"])],
    minimum_interval_seconds=ROUTINE_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads by RPC the transactions that enhanced webhooks named without their logs, "
    "within about a second and without a run.",
)
@skip_on_outage()
def hint_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Read the hints that are due; one that a node does not have yet is retried later."""
    report = read_due_hints(
        backend.engine(Role.INGEST), backend.sensor_rpc, backend.settings, seconds=READ_SECONDS
    )
    return dg.SkipReason(
        f"{report.read} hints read, {report.foreign} of other programs, {report.postponed} to be "
        f"retried, {report.unknown} expired."
    )
