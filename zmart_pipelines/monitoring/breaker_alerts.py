"""Alerts of breakers that stay open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.store.queries.breakers import BreakerStatus, breaker_statuses

ALERT_AFTER = timedelta(minutes=5)

_TOPIC = "breaker"


def update_breaker_alerts(conn: Connection, *, now: datetime | None = None) -> list[BreakerStatus]:
    """Raise an alert for each breaker open for over five minutes; clear those of closed ones.

    The caller commits. Returns the breakers that are not closed.
    """
    if now is None:
        now = conn.execute(select(func.now())).scalar_one()
    stopped = [breaker for breaker in breaker_statuses(conn) if not breaker.is_closed]
    for breaker in stopped:
        if breaker.opened_at is not None and now - breaker.opened_at > ALERT_AFTER:
            _raise(conn, breaker, now - breaker.opened_at)
    _clear(conn, stopped)
    return stopped


def _raise(conn: Connection, breaker: BreakerStatus, age: timedelta) -> None:
    raise_alert(
        conn,
        AlertKey(_TOPIC, subject=breaker.name),
        CAUSES[_TOPIC].severity,
        f"{breaker.name} has been stopped for {int(age.total_seconds() // 60)} min after failures; "
        f"zmart breakers reset {breaker.name} allows calls at once",
        {"error": breaker.last_error, "failed probes": breaker.level},
    )


def _clear(conn: Connection, stopped: Sequence[BreakerStatus]) -> None:
    names = {breaker.name for breaker in stopped}
    for key in open_alerts(conn, topic=_TOPIC):
        if key.subject not in names:
            clear_alert(conn, key)
