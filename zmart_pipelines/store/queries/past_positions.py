"""Which positions a wallet had after a slot, and what the tables know of them by then."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, Select, column, func, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.base import BYTES
from zmart_pipelines.store.tables.market import trades, withdrawals


class TradedMarket(msgspec.Struct, frozen=True):
    """A market that a wallet had traded in by a slot, and when last, in chain seconds."""

    market_id: bytes
    last_trade_at: int


BY_LAST_TRADE: Final = Order(
    "last_trade_until_slot",
    (
        KeyColumn("last_trade_at", column("last_trade_at", BigInteger), descending=True),
        KeyColumn("market_id", column("market_id", BYTES), descending=True),
    ),
)


def traded_markets(
    conn: Connection,
    user: bytes,
    slot: int,
    *,
    after: Key | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[TradedMarket]:
    """Return a page of the markets that a wallet had traded in by ``slot``, last traded first.

    Args:
        after: Key in ``BY_LAST_TRADE`` of the last market of the page before.
    """
    found = _traded(user, slot).subquery()
    page = BY_LAST_TRADE.page(select(found), after=after, limit=limit, offset=offset)
    return many(TradedMarket, conn.execute(page))


def count_traded_markets(conn: Connection, user: bytes, slot: int) -> int:
    """Return the number of markets that a wallet had traded in by ``slot``."""
    statement = select(func.count()).select_from(_traded(user, slot).subquery())
    return conn.execute(statement).scalar_one()


def _traded(user: bytes, slot: int) -> Select[tuple[bytes, int]]:
    return (
        select(trades.c.market_id, func.max(trades.c.traded_at).label("last_trade_at"))
        .where(trades.c.user == user, trades.c.slot <= slot)
        .group_by(trades.c.market_id)
    )


def emptied_at(conn: Connection, market_ids: Collection[bytes], slot: int) -> dict[bytes, int]:
    """Return when the liquidity of these markets was withdrawn, if by ``slot``; chain seconds."""
    rows = conn.execute(
        select(withdrawals.c.market_id, func.min(withdrawals.c.withdrawn_at))
        .where(withdrawals.c.market_id.in_(market_ids), withdrawals.c.slot <= slot)
        .group_by(withdrawals.c.market_id)
    )
    return {row[0]: row[1] for row in rows}
