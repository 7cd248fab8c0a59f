"""Alerts: one open row per condition, raised once however often the condition is observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.client_schemas.frames import AlertAction, alert_frames
from zmart_pipelines.monitoring.severity import Severity, most_urgent, rank
from zmart_pipelines.store.queries.alerts import FULL_COLUMNS, FullAlert
from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.stream import append_at_commit
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
    """Open the alert ``key``, or update severity and text of the one that is open.

    A new alert and another severity append frames, which clients receive once the caller commits.
    A severity that age has raised stays. The message is plain text, which Slack, mail and pages
    show as it is: backticks, which errors of libraries bring along, are left out.

    Returns:
        Whether the alert is new.
    """
    values = {
        "severity": severity,
        "reported_severity": severity,
        "message": message.replace("`", ""),
        "detail": dict(detail or {}),
    }
    while True:
        found = select(alerts.c.id, alerts.c.severity, alerts.c.reported_severity)
        before = conn.execute(found.where(_is_open(key)).with_for_update()).one_or_none()
        if before is not None:
            if rank(before.severity) > rank(before.reported_severity or before.severity):
                values["severity"] = most_urgent(severity, before.severity)
            changed = update(alerts).where(alerts.c.id == before.id).values(**values)
            row = conn.execute(changed.returning(*FULL_COLUMNS)).one()
            if before.severity != row.severity:
                _append_frames(conn, row, "changed")
            return False
        added = insert(alerts).values(**msgspec.structs.asdict(key), **values)
        ignored = added.on_conflict_do_nothing(
            index_elements=_KEY, index_where=alerts.c.cleared_at.is_(None)
        )
        new = conn.execute(ignored.returning(*FULL_COLUMNS)).one_or_none()
        if new is not None:
            _append_frames(conn, new, "raised")
            return True
        # Another transaction has opened it meanwhile, and committed.


def clear_alert(conn: Connection, key: AlertKey) -> bool:
    """Close the open alert ``key``; return whether there was one.

    Its frames reach clients once the caller commits.
    """
    statement = update(alerts).where(_is_open(key)).values(cleared_at=func.now())
    row = conn.execute(statement.returning(*FULL_COLUMNS)).one_or_none()
    if row is not None:
        _append_frames(conn, row, "cleared")
    return row is not None


def _append_frames(conn: Connection, row: Row[Any], action: AlertAction) -> None:
    append_at_commit(conn, alert_frames(one(FullAlert, row), action))


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
