"""Comments on markets. Deleted ones are hidden."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables import community

_discussions = community.discussions


class Discussion(msgspec.Struct, frozen=True):
    """One comment; ``deleted_at`` is set only where deleted ones were asked for."""

    id: UUID
    market_id: bytes
    wallet: bytes
    content: str
    signature: bytes | None
    created_at: datetime
    deleted_at: datetime | None


# Newest first.
ORDER: Final = Order(
    "newest",
    (
        KeyColumn("created_at", _discussions.c.created_at, descending=True),
        KeyColumn("id", _discussions.c.id, descending=True),
    ),
)


def find_discussions(
    conn: Connection,
    *,
    market_id: bytes | None = None,
    wallet: bytes | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Key | None = None,
) -> list[Discussion]:
    """Comments on a market or of a wallet, the newest first.

    Args:
        after: Key, in ``ORDER``, of the last comment of the page before.
    """
    statement = select(_discussions).where(_discussions.c.deleted_at.is_(None))
    if market_id is not None:
        statement = statement.where(_discussions.c.market_id == market_id)
    if wallet is not None:
        statement = statement.where(_discussions.c.wallet == wallet)
    page = ORDER.page(statement, after=after, limit=limit, offset=offset)
    return many(Discussion, conn.execute(page))


def count(conn: Connection, *, market_id: bytes | None = None, wallet: bytes | None = None) -> int:
    """How many comments a market or a wallet has."""
    statement = (
        select(func.count()).select_from(_discussions).where(_discussions.c.deleted_at.is_(None))
    )
    if market_id is not None:
        statement = statement.where(_discussions.c.market_id == market_id)
    if wallet is not None:
        statement = statement.where(_discussions.c.wallet == wallet)
    return conn.execute(statement).scalar_one()


def get(conn: Connection, discussion_id: UUID) -> Discussion | None:
    """Return the comment with this id, deleted or not."""
    row = conn.execute(select(_discussions).where(_discussions.c.id == discussion_id)).one_or_none()
    return None if row is None else one(Discussion, row)
