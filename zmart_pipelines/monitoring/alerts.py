"""Alerts: one open row per condition, raised once however often the condition is observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Boolean, ColumnElement, Connection, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.store.tables.ops import alerts

_KEY = ("topic", "market_id", "subject")


class AlertKey(msgspec.Struct, frozen=True):
    """The condition that an alert reports; at most one alert is open per key.

    Attributes:
        topic: Kind of condition, e.g. ``proposal_review``.
        market_id: The market concerned, if the condition concerns one.
        subject: What else tells conditions of the topic apart: a job, a service, an intent.
    """

    topic: str
    market_id: bytes | None = None
    subject: str | None = None

    def __str__(self) -> str:
        market = None if self.market_id is None else self.market_id.hex()
        return ":".join(part for part in (self.topic, market, self.subject) if part is not None)


def raise_alert(
    conn: Connection,
    key: AlertKey,
    severity: Severity,
    message: str,
    detail: Mapping[str, Any] | None = None,
) -> bool:
    """Open the alert ``key``, or update the text of the one that is open.

    The caller commits.

    Returns:
        Whether the alert is new.
    """
    values = {"severity": severity, "message": message, "detail": dict(detail or {})}
    statement = (
        insert(alerts)
        .values(**msgspec.structs.asdict(key), **values)
        .on_conflict_do_update(
            index_elements=_KEY, index_where=alerts.c.cleared_at.is_(None), set_=values
        )
        .returning(literal_column("xmax = 0", Boolean))  # true for an inserted row
    )
    return bool(conn.execute(statement).scalar_one())


def clear_alert(conn: Connection, key: AlertKey) -> bool:
    """Close the open alert ``key``; return whether there was one."""
    statement = update(alerts).where(_is_open(key)).values(cleared_at=func.now())
    return conn.execute(statement).rowcount > 0


def open_alerts(conn: Connection, *, topic: str | None = None) -> list[AlertKey]:
    """Return the keys of the open alerts, of one topic if given, oldest first."""
    statement = select(*(alerts.c[name] for name in _KEY)).where(alerts.c.cleared_at.is_(None))
    if topic is not None:
        statement = statement.where(alerts.c.topic == topic)
    return [AlertKey(*row) for row in conn.execute(statement.order_by(alerts.c.id))]


def _is_open(key: AlertKey) -> ColumnElement[bool]:
    return (
        alerts.c.cleared_at.is_(None)
        & (alerts.c.topic == key.topic)
        & alerts.c.market_id.is_not_distinct_from(key.market_id)
        & alerts.c.subject.is_not_distinct_from(key.subject)
    )
