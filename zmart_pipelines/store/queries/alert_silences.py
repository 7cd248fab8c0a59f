"""Silences: which alerts are not sent, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, exists, func, insert, or_, select, update

from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.alert_messages import alert_silences
from zmart_pipelines.store.tables.ops import alerts


class Silence(msgspec.Struct, frozen=True):
    """Alerts of ``topic`` are not sent until ``ends_at``; of one market or subject if named."""

    id: int
    topic: str
    market_id: bytes | None
    subject: str | None
    reason: str
    created_by: str
    created_at: datetime
    ends_at: datetime


_COLUMNS: Final = tuple(alert_silences.c[name] for name in Silence.__struct_fields__)


def is_silenced() -> ColumnElement[bool]:
    """Return the condition that a row of ``ops.alerts`` matches a silence that lasts."""
    silence = alert_silences.c
    return exists().where(
        silence.topic == alerts.c.topic,
        or_(silence.market_id.is_(None), silence.market_id == alerts.c.market_id),
        or_(silence.subject.is_(None), silence.subject == alerts.c.subject),
        silence.ends_at > func.now(),
    )


def current_silences(conn: Connection) -> list[Silence]:
    """Return the silences that last, the newest first."""
    statement = select(*_COLUMNS).where(alert_silences.c.ends_at > func.now())
    return many(Silence, conn.execute(statement.order_by(alert_silences.c.id.desc())))


def add_silence(
    conn: Connection,
    *,
    topic: str,
    market_id: bytes | None,
    subject: str | None,
    reason: str,
    created_by: str,
    lasts: timedelta,
) -> Silence:
    """Insert a silence that begins now; the caller commits."""
    added = insert(alert_silences).values(
        topic=topic,
        market_id=market_id,
        subject=subject,
        reason=reason,
        created_by=created_by,
        ends_at=func.now() + lasts,
    )
    return one(Silence, conn.execute(added.returning(*_COLUMNS)).one())


def end_silence(conn: Connection, silence_id: int) -> Silence | None:
    """End a silence now; return it, or None where none of that id lasts. The caller commits."""
    ended = (
        update(alert_silences)
        .where(alert_silences.c.id == silence_id, alert_silences.c.ends_at > func.now())
        .values(ends_at=func.now())
        .returning(*_COLUMNS)
    )
    row = conn.execute(ended).one_or_none()
    return None if row is None else one(Silence, row)
