"""The sensor of alerts: it watches circuit breakers and sends what is to be sent."""

from __future__ import annotations

import dagster as dg

from assets.catalog import OWNERS
from assets.resources import BackendResource
from assets.sensor_ticks import ROUTINE_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.monitoring.alert_delivery import deliver
from zmart_pipelines.monitoring.alert_posters import posters
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.store.engine import Role


@dg.sensor(
    owners=OWNERS,
    name="alert_sensor",
    minimum_interval_seconds=ROUTINE_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert when the circuit breaker of an RPC endpoint or of an action has "
    "been open for more than five minutes, clears it when the breaker closes, raises the severity "
    "of alerts with their age, and sends messages about alerts to the webhook, by mail and to "
    "ALERT_URLS. Starts no run.",
)
@skip_on_outage()
def alert_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Send what waits; a receiver that fails is tried again after 5 s, 10 s, … 5 min."""
    engine = backend.engine(Role.PIPELINES)
    with engine.begin() as conn:
        not_closed = update_breaker_alerts(conn)
    breakers = "; ".join(f"{row.name} is {row.state}: {row.last_error}" for row in not_closed)
    context.log.info("%s", f"Not closed: {breakers}" if breakers else "All breakers are closed.")
    receivers = posters(backend.settings)
    done = deliver(engine, backend.settings, receivers)
    for fault in done.faults:
        context.log.warning("%s", fault)
    for message in done.sent:
        context.log.info("Sent %s", message)
    if not receivers:
        return dg.SkipReason("No receiver of alerts is set.")
    if not done.sent and not done.faults:
        return dg.SkipReason("There is no message to send.")
    return dg.SensorResult()
