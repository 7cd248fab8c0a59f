"""Alerts: as everyone may see them, and with the texts for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.ops import alerts


class Alert(msgspec.Struct, frozen=True):
    """An alert; open while ``cleared_at`` is None."""

    id: int
    topic: str
    market_id: bytes | None
    severity: str
    raised_at: datetime
    cleared_at: datetime | None


class FullAlert(Alert, frozen=True):
    """An alert with its text; ``zmart_pipelines.monitoring.alerts`` says what the fields mean."""

    subject: str | None
    message: str
    detail: dict[str, Any]
    acknowledged_at: datetime | None
    acknowledged_by: str | None


FULL_COLUMNS: Final = tuple(alerts.c[name] for name in FullAlert.__struct_fields__)

# What is stored with the alert of a proposal whose vote found no consensus in its time.
NO_CONSENSUS: Final = (
    *("votes_for", "votes_against", "ballots", "minimum_ballots", "threshold_bps", "chain_time"),
)


def no_consensus(conn: Connection, market_id: bytes) -> dict[str, int] | None:
    """Return the counts with which a proposal's vote was last found without consensus.

    None where that was never so. The names are ``NO_CONSENSUS``.
    """
    statement = (
        select(alerts.c.detail)
        .where(alerts.c.topic == "proposal_review", alerts.c.market_id == market_id)
        .order_by(alerts.c.id.desc())
        .limit(1)
    )
    detail = conn.execute(statement).scalar_one_or_none()
    # Alerts of earlier versions hold no counts.
    if detail is None or not set(NO_CONSENSUS) <= set(detail):
        return None
    return {name: detail[name] for name in NO_CONSENSUS}


NEWEST: Final = Order("alerts", (KeyColumn("id", alerts.c.id, True),))


def find_alerts(
    conn: Connection,
    *,
    is_open: bool | None = None,
    market_id: bytes | None = None,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Alert]:
    """Return a page of alerts, newest first.

    Args:
        is_open: None: open and cleared ones.
        market_id: The market concerned; None: alerts of any market, and of none.
        after: Key in ``NEWEST`` of the last alert of the page before.
    """
    statement = select(*(alerts.c[name] for name in Alert.__struct_fields__))
    if is_open is not None:
        cleared = alerts.c.cleared_at
        statement = statement.where(cleared.is_(None) if is_open else cleared.isnot(None))
    if market_id is not None:
        statement = statement.where(alerts.c.market_id == market_id)
    page = NEWEST.page(statement, after=after, limit=limit, offset=offset)
    return many(Alert, conn.execute(page))


def open_alerts(conn: Connection, limit: int) -> list[FullAlert]:
    """Return the open alerts with their texts, newest first."""
    statement = (
        select(*FULL_COLUMNS)
        .where(alerts.c.cleared_at.is_(None))
        .order_by(alerts.c.id.desc())
        .limit(limit)
    )
    return many(FullAlert, conn.execute(statement))


def find_alert(conn: Connection, alert_id: int) -> FullAlert | None:
    """Return one alert with its text."""
    row = conn.execute(select(*FULL_COLUMNS).where(alerts.c.id == alert_id)).one_or_none()
    return None if row is None else one(FullAlert, row)


def acknowledged_subjects(conn: Connection, topic: str) -> frozenset[str]:
    """Return the subjects of the open alerts of a topic that were acknowledged."""
    statement = select(alerts.c.subject).where(
        alerts.c.topic == topic,
        alerts.c.cleared_at.is_(None),
        alerts.c.acknowledged_at.is_not(None),
        alerts.c.subject.is_not(None),
    )
    return frozenset(conn.execute(statement).scalars())
