"""Alerts of breakers that have been open for long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from zmart_pipelines.monitoring.alerts import clear_alert, raise_alert
from zmart_pipelines.store.queries.breakers import Breaker, breakers
from zmart_pipelines.store.tables.ops import alerts

ALERT_AFTER = timedelta(minutes=5)

_PREFIX = "breaker:"


def watch(conn: Connection, *, now: datetime | None = None) -> list[Breaker]:
    """Raise an alert of each breaker that left closed over five minutes ago; clear those of
    breakers that are closed. Returns what is not closed. Committed by the caller.
    """
    if now is None:
        now = conn.execute(select(func.now())).scalar_one()
    stopped = [breaker for breaker in breakers(conn) if not breaker.is_closed]
    for breaker in stopped:
        if breaker.opened_at is not None and now - breaker.opened_at > ALERT_AFTER:
            _raise(conn, breaker, now - breaker.opened_at)
    _clear(conn, stopped)
    return stopped


def _raise(conn: Connection, breaker: Breaker, age: timedelta) -> None:
    raise_alert(
        conn,
        f"{_PREFIX}{breaker.name}",
        "high",
        f"{breaker.name} has been stopped for {int(age.total_seconds() // 60)} min after failures; "
        f"zmart breakers reset {breaker.name} lets it go on at once",
        {"error": breaker.last_error, "failed probes": breaker.level},
    )


def _clear(conn: Connection, stopped: Sequence[Breaker]) -> None:
    kept = [f"{_PREFIX}{breaker.name}" for breaker in stopped]
    statement = select(alerts.c.key).where(
        alerts.c.cleared_at.is_(None),
        alerts.c.key.startswith(_PREFIX, autoescape=True),
        alerts.c.key.notin_(kept),
    )
    for key in conn.execute(statement).scalars().all():
        clear_alert(conn, key)
