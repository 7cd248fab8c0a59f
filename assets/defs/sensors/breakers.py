"""The sensor that raises alerts for circuit breakers that stay open."""

import dagster as dg

from assets.resources import BackendResource
from assets.sensor_ticks import ROUTINE_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.store.engine import Role


@dg.sensor(
    name="breaker_sensor",
    minimum_interval_seconds=ROUTINE_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert when the circuit breaker of an RPC endpoint or of an action has "
    "been open for more than five minutes, and clears it when the breaker closes. Starts no run.",
)
@skip_on_outage()
def breaker_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Update the alerts and name the breakers that are not closed."""
    with backend.engine(Role.PIPELINES).begin() as conn:
        found = update_breaker_alerts(conn)
    if not found:
        return dg.SkipReason("All breakers are closed.")
    states = "; ".join(f"{row.name} is {row.state}: {row.last_error}" for row in found)
    return dg.SkipReason(f"Not closed: {states}")
