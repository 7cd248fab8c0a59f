"""Alerts of quantities past a threshold; they are cleared when the quantity is ok again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from zmart_pipelines.health.measure import ServiceHealth
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.monitoring.work_health import QUANTITIES, QuantityHealth, State

TOPIC = "health"

_SEVERITIES: Mapping[State, Severity] = {"degraded": "medium", "down": "high"}
_ALERTED = {quantity.name for quantity in QUANTITIES if quantity.alerts}


def update_health_alerts(conn: Connection, services: Iterable[ServiceHealth]) -> list[AlertKey]:
    """Raise an alert for each quantity past a threshold and clear those of the others.

    The alert of a quantity that is only ``starting`` stays as it is. The caller commits. Returns
    the keys that hold now.
    """
    held = []
    found = {key(one): one for service in services for one in service.quantities}
    for alert, one in found.items():
        severity = _SEVERITIES.get(one.state)
        if severity is not None and one.name in _ALERTED:
            detail = {"since": None if one.since is None else one.since.isoformat(), **one.detail}
            raise_alert(conn, alert, severity, _message(one), detail)
            held.append(alert)
    for alert in open_alerts(conn, topic=TOPIC):
        if alert not in held and (alert not in found or found[alert].state != "starting"):
            clear_alert(conn, alert)
    return held


def key(one: QuantityHealth) -> AlertKey:
    """Return the key of a quantity's alert."""
    return AlertKey(TOPIC, subject=f"{one.service}:{one.name}")


def _message(one: QuantityHealth) -> str:
    value = "unknown" if one.value is None else f"{one.value:.0f}"
    limit = one.down if one.state == "down" else one.degraded
    cause = f": {one.cause}" if one.cause else ""
    return f"{one.service} is {one.state}: {one.name} is {value}, its limit is {limit}{cause}"
