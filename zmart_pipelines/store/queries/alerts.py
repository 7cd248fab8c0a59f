"""Alerts, without the texts that are for operators alone."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.ops import alerts


class Alert(msgspec.Struct, frozen=True):
    """An alert; open while ``cleared_at`` is None."""

    id: int
    topic: str
    market_id: bytes | None
    severity: str
    raised_at: datetime
    cleared_at: datetime | None


NEWEST: Final = Order("alerts", (KeyColumn("id", alerts.c.id, True),))


def find_alerts(
    conn: Connection,
    *,
    is_open: bool | None = None,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Alert]:
    """Return a page of alerts, newest first.

    Args:
        is_open: None: open and cleared ones.
        after: Key in ``NEWEST`` of the last alert of the page before.
    """
    statement = select(*(alerts.c[name] for name in Alert.__struct_fields__))
    if is_open is not None:
        cleared = alerts.c.cleared_at
        statement = statement.where(cleared.is_(None) if is_open else cleared.isnot(None))
    page = NEWEST.page(statement, after=after, limit=limit, offset=offset)
    return many(Alert, conn.execute(page))
