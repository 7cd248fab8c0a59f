"""The sensor of alerts: it watches circuit breakers and posts open alerts to the webhook."""

from __future__ import annotations

import time

import dagster as dg
import msgspec

from assets.resources import BackendResource
from assets.sensor_ticks import ROUTINE_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.monitoring import alert_delivery
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.store.engine import Role


@dg.sensor(
    name="alert_sensor",
    minimum_interval_seconds=ROUTINE_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert when the circuit breaker of an RPC endpoint or of an action has "
    "been open for more than five minutes, clears it when the breaker closes, and posts open "
    "alerts of severity critical and high to ALERT_WEBHOOK_URL, each once. Starts no run.",
)
@skip_on_outage()
def alert_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Post open alerts; retry a webhook that fails after 5 s, 10 s, … 5 min."""
    with backend.engine(Role.PIPELINES).begin() as conn:
        not_closed = update_breaker_alerts(conn)
    breakers = "; ".join(f"{row.name} is {row.state}: {row.last_error}" for row in not_closed)
    context.log.info("%s", f"Not closed: {breakers}" if breakers else "All breakers are closed.")
    address = backend.settings.alert_webhook_url
    if address is None:
        return dg.SkipReason("ALERT_WEBHOOK_URL is not set.")
    now, before = time.time(), _backoff(context.cursor)
    done = alert_delivery.post_when_due(backend.engine(Role.PIPELINES), address, before, now)
    if not done.waiting:
        return dg.SkipReason("There is no alert to post.")
    if now < before.until:
        return dg.SkipReason(f"The webhook failed; next attempt in {before.until - now:.0f} s.")
    if done.fault is not None:
        context.log.warning("%s", done.fault)
    for key in done.posted:
        context.log.info("Posted %s", key)
    return dg.SensorResult(cursor=msgspec.json.encode(done.backoff).decode())


def _backoff(cursor: str | None) -> alert_delivery.Backoff:
    """Read the cursor back; a malformed one counts as no failure."""
    try:
        return msgspec.json.decode(cursor or "", type=alert_delivery.Backoff)
    except msgspec.MsgspecError:
        return alert_delivery.Backoff()
