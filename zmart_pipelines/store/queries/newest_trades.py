"""Trading since the stored candles were computed, and prices at a time, from the trades.

Candles are refreshed each minute. Between two refolds of a market trades are only appended, so
what the stored candles lack are its newest trades; they are added up here. The chain's clock never
goes back, so that trades by time are trades in the chain's order.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, Subquery, case, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.store.queries.candles import Candle
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.market import markets, trades
from zmart_pipelines.store.tables.statistics import candles, market_statistics

_ORDER = (trades.c.slot, trades.c.index_in_block, trades.c.signature, trades.c.log_index)


def trades_without_candles(conn: Connection, market_id: bytes) -> int | None:
    """Return how many of the market's newest trades the stored candles lack.

    None: the stored candles are of trades that were folded again since, or there are none.
    """
    stored = market_statistics.c
    lacking = case(
        (stored.market_updated_at == markets.c.updated_at, 0),
        (
            stored.market_refolded_at == markets.c.refolded_at,
            markets.c.trades_count - stored.total_trades,
        ),
    )
    found: int | None = conn.execute(
        select(lacking)
        .join_from(markets, market_statistics, stored.market_id == markets.c.market_id)
        .where(markets.c.market_id == market_id)
    ).scalar_one_or_none()
    return None if found is None or found < 0 else found


def candles_of_newest_trades(
    conn: Connection,
    market_id: bytes,
    seconds: int,
    *,
    count: int | None,
    start: int | None = None,
    end: int | None = None,
    limit: int,
) -> list[Candle]:
    """Return candles of the market's newest trades alone, oldest first.

    Args:
        seconds: Length of a candle, which starts at multiples of it.
        count: How many of the newest trades; None for all.
        start: Earliest time of a trade, in chain seconds.
        end: Trades are before this, in chain seconds.
        limit: Maximum number of candles; the newest are returned.
    """
    if count == 0:
        return []
    traded = _newest(market_id, count, start, end)
    starts_at = (traded.c.traded_at - traded.c.traded_at % seconds).label("starts_at")
    order = [traded.c[column.name] for column in _ORDER]
    backwards = [column.desc() for column in order]
    price = traded.c.price_yes

    def first(*by: ColumnElement[Any]) -> ColumnElement[int]:
        prices = func.array_agg(aggregate_order_by(price, *by), type_=ARRAY(BigInteger))
        element: ColumnElement[int] = prices[1]
        return element

    statement = (
        select(
            starts_at,
            first(*order).label("open"),
            func.max(price).label("high"),
            func.min(price).label("low"),
            first(*backwards).label("close"),
            func.sum(traded.c.cost).label("volume"),
            func.count().label("trades"),
        )
        .group_by(starts_at)
        .order_by(starts_at.desc())
        .limit(limit)
    )
    return many(Candle, conn.execute(statement))[::-1]


def _newest(market_id: bytes, count: int | None, start: int | None, end: int | None) -> Subquery:
    """Select those of the market's newest ``count`` trades (None: all) in ``[start, end)``."""
    statement = select(trades.c.traded_at, trades.c.price_yes, trades.c.cost, *_ORDER).where(
        trades.c.market_id == market_id
    )
    if count is not None:
        statement = statement.order_by(*(column.desc() for column in _ORDER)).limit(count)
    newest = statement.subquery("newest")
    within = select(newest)
    if start is not None:
        within = within.where(newest.c.traded_at >= start)
    if end is not None:
        within = within.where(newest.c.traded_at < end)
    return within.subquery("within")


def price_before(conn: Connection, market_id: bytes, moment: int) -> int:
    """Return the price of YES just before a chain second; the opening price without trades."""
    found: int | None = conn.execute(
        select(trades.c.price_yes)
        .where(trades.c.market_id == market_id, trades.c.traded_at < moment)
        .order_by(trades.c.traded_at.desc(), *(column.desc() for column in _ORDER))
        .limit(1)
    ).scalar_one_or_none()
    return PRECISION // 2 if found is None else found


class Trading(msgspec.Struct, frozen=True):
    """Prices after trades (9 decimals), costs (lamports) and number of some trades.

    ``high`` and ``low`` are None without trades.
    """

    high: int | None
    low: int | None
    volume: int
    trades: int


def trading_since(conn: Connection, market_id: bytes, start: int) -> Trading:
    """Return the market's trading from chain second ``start`` on.

    Whole minutes come from the stored candles where those are right.
    """
    count = trades_without_candles(conn, market_id)
    if count is None:
        return _add_up(conn, _newest(market_id, None, start, None))
    minute = -(-start // 60) * 60
    parts = [_add_up(conn, _newest(market_id, None, start, minute))]
    if count:
        parts.append(_add_up(conn, _newest(market_id, count, minute, None)))
    stored = candles.c
    whole_minutes = conn.execute(
        select(
            func.max(stored.high).label("high"),
            func.min(stored.low).label("low"),
            func.coalesce(func.sum(stored.volume), 0).label("volume"),
            func.coalesce(func.sum(stored.trades), 0).label("trades"),
        ).where(stored.market_id == market_id, stored.interval == "1m", stored.starts_at >= minute)
    ).one()
    parts.append(one(Trading, whole_minutes))
    return Trading(
        high=max((part.high for part in parts if part.high is not None), default=None),
        low=min((part.low for part in parts if part.low is not None), default=None),
        volume=sum(part.volume for part in parts),
        trades=sum(part.trades for part in parts),
    )


def _add_up(conn: Connection, traded: Subquery) -> Trading:
    row = conn.execute(
        select(
            func.max(traded.c.price_yes).label("high"),
            func.min(traded.c.price_yes).label("low"),
            func.coalesce(func.sum(traded.c.cost), 0).label("volume"),
            func.count().label("trades"),
        )
    ).one()
    return one(Trading, row)


def newest_costs(conn: Connection, market_id: bytes, count: int) -> tuple[int, int]:
    """Return the costs of the buys and of the sells among the newest ``count`` trades."""
    newest = (
        select(trades.c.cost, trades.c.trade_type)
        .where(trades.c.market_id == market_id)
        .order_by(*(column.desc() for column in _ORDER))
        .limit(count)
        .subquery("newest")
    )
    total = func.coalesce(func.sum(newest.c.cost), 0)
    bought = func.coalesce(func.sum(newest.c.cost).filter(newest.c.trade_type == "buy"), 0)
    row = conn.execute(select(bought, total - bought)).one()
    return int(row[0]), int(row[1])
