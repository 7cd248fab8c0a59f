"""Alerts of quantities past a threshold; they are cleared when the quantity is ok again.

Two lags have steps of their own beside the thresholds of health: how long a vote waits for its
aggregation, and how far the ledger is behind the chain. A service is not down by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from zmart_pipelines.health.measure import ServiceHealth
from zmart_pipelines.health.start import seconds_since_start
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.severity import Severity, most_urgent
from zmart_pipelines.monitoring.work_health import (
    CONFIRMED_SLOTS,
    DUE_DECISION,
    QUANTITIES,
    START_SECONDS,
    QuantityHealth,
    State,
)
from zmart_pipelines.settings import Settings, Threshold

TOPIC = "health"

_SEVERITIES: Mapping[State, Severity] = {"degraded": "medium", "down": "high"}
_ALERTED = {quantity.name for quantity in QUANTITIES if quantity.alerts}


def update_health_alerts(
    conn: Connection, services: Iterable[ServiceHealth], settings: Settings
) -> list[AlertKey]:
    """Raise an alert for each quantity past a threshold and clear those of the others.

    The alert of a quantity that is only ``starting`` stays as it is. The caller commits. Returns
    the keys that hold now.
    """
    held = []
    found = {key(one): one for service in services for one in service.quantities}
    steps = _lag_steps(settings) if seconds_since_start(conn) >= START_SECONDS else {}
    for alert, one in found.items():
        step = steps.get((one.service, one.name))
        reached = None if step is None else _reached(one, step)
        severity = _most_urgent(_SEVERITIES.get(one.state), reached)
        if severity is not None and one.name in _ALERTED:
            detail = {"since": None if one.since is None else one.since.isoformat(), **one.detail}
            raise_alert(conn, alert, severity, _message(one, step), detail)
            held.append(alert)
    for alert in open_alerts(conn, topic=TOPIC):
        if alert not in held and (alert not in found or found[alert].state != "starting"):
            clear_alert(conn, alert)
    return held


def key(one: QuantityHealth) -> AlertKey:
    """Return the key of a quantity's alert."""
    return AlertKey(TOPIC, subject=f"{one.service}:{one.name}")


def _lag_steps(settings: Settings) -> Mapping[tuple[str, str], Threshold]:
    """Return by service and quantity from where on an alert is high, and from where critical."""
    return {
        ("vote-aggregator", DUE_DECISION.name): settings.alert_aggregation_lag_seconds,
        ("event-indexer", CONFIRMED_SLOTS.name): settings.alert_indexing_lag_slots,
    }


def _reached(one: QuantityHealth, step: Threshold) -> Severity | None:
    if one.value is None or one.state == "starting" or one.value < step.degraded:
        return None
    return "critical" if one.value >= step.down else "high"


def _most_urgent(*severities: Severity | None) -> Severity | None:
    known = [severity for severity in severities if severity is not None]
    return most_urgent(*known) if known else None


def _message(one: QuantityHealth, step: Threshold | None) -> str:
    value = "unknown" if one.value is None else f"{one.value:.0f}"
    cause = f": {one.cause}" if one.cause else ""
    limits = [one.degraded, one.down, *(() if step is None else (step.degraded, step.down))]
    passed = [limit for limit in limits if one.value is not None and one.value >= limit]
    limit = max(passed, default=one.degraded)
    # The step of an alert may be below the threshold at which the service is degraded.
    service = one.service if one.state == "ok" else f"{one.service} is {one.state}"
    return f"{service}: {one.name} is {value}, its limit is {limit}{cause}"
