"""A page of a market's trades, as clients read it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from api.requests.pages import Page
from zmart_pipelines.client_schemas import trading
from zmart_pipelines.store.queries import trades


class TradeList(msgspec.Struct, frozen=True):
    """A page of trades. `count` is the page's, `total` that of all pages."""

    trades: list[trading.Trade]
    count: int
    total: int
    market_id: str
    offset: int
    limit: int
    next: str | None


def load_trades(
    conn: Connection, market_id: bytes, page: Page, *, descending: bool = True
) -> TradeList:
    """Return a page of a market's trades in the chain's order.

    Args:
        conn: The transaction.
        market_id: Of the market.
        page: In the order ``trades.order(descending=descending)``.
        descending: Whether the newest come first.
    """
    rows = trades.find_trades(
        conn,
        market_id=market_id,
        descending=descending,
        limit=page.fetch,
        offset=page.offset,
        after=page.after,
    )
    shown, next_ = page.cut(rows)
    total = trades.count(conn, market_id=market_id)
    items = [trading.trade(row) for row in shown]
    return TradeList(items, len(items), total, market_id.hex(), page.offset, page.limit, next_)
