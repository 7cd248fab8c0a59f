"""The sensor that tells people of breakers that have been open for long."""

import dagster as dg

from assets.resources import BackendResource
from assets.sensor_ticks import INTERVAL, Tick, patient
from zmart_pipelines.monitoring.breaker_alerts import watch
from zmart_pipelines.store.engine import Role


@dg.sensor(
    name="breaker_sensor",
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert when an RPC endpoint or an action has been left alone for over "
    "five minutes after failures, and clears it when that is over. Starts nothing.",
)
@patient(None)
def breaker_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Every tick says which breakers are not closed."""
    with backend.engine(Role.PIPELINES).begin() as conn:
        stopped = watch(conn)
    if not stopped:
        return dg.SkipReason("All breakers are closed.")
    told = "; ".join(f"{one.name} is {one.state}: {one.last_error}" for one in stopped)
    return dg.SkipReason(f"Left alone: {told}")
