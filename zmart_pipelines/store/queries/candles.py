"""Candles and the computed statistics of markets and wallets, as stored."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, Text, case, column, func, or_, select, true, values

from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.market import markets, trades
from zmart_pipelines.store.tables.statistics import (
    INTERVALS,
    candles,
    market_statistics,
    wallet_statistics,
)


class Candle(msgspec.Struct, frozen=True):
    """Prices of YES (9 decimals, after trades), volume (lamports) and trades of an interval.

    ``starts_at`` is in chain seconds. Intervals without trades have no candle.
    """

    starts_at: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


def candles_of_market(
    conn: Connection,
    market_id: bytes,
    interval: str,
    *,
    start: int | None = None,
    end: int | None = None,
    limit: int = 100,
) -> list[Candle]:
    """Return the last ``limit`` candles that begin in ``[start, end)``, oldest first."""
    statement = select(*(candles.c[name] for name in Candle.__struct_fields__)).where(
        candles.c.market_id == market_id, candles.c.interval == interval
    )
    if start is not None:
        statement = statement.where(candles.c.starts_at >= start)
    if end is not None:
        statement = statement.where(candles.c.starts_at < end)
    newest = statement.order_by(candles.c.starts_at.desc()).limit(limit)
    # A page of long candles is made of thousands of these.
    return [Candle(*row) for row in conn.execute(newest)][::-1]


class MarketFigures(msgspec.Struct, frozen=True):
    """A row of ``market.market_statistics``; its units are the table's."""

    market_id: bytes
    total_trades: int
    unique_traders: int
    total_volume: int
    buy_volume: int
    sell_volume: int
    volume_24h: int
    traders_24h: int
    price_yes: int
    price_24h_ago: int
    price_change_bps: int | None
    last_trade_at: int | None
    as_of: int
    valid_until: int | None


def figures_of_market(conn: Connection, market_id: bytes) -> MarketFigures | None:
    """Return the market's statistics; None before the first refresh."""
    row = conn.execute(
        select(market_statistics).where(market_statistics.c.market_id == market_id)
    ).one_or_none()
    return None if row is None else one(MarketFigures, row)


def busiest_markets(conn: Connection, *, limit: int = 10) -> list[MarketFigures]:
    """Return the statistics of the markets with the largest 24 h volume, then total volume."""
    table = market_statistics.c
    order = (table.volume_24h.desc(), table.total_volume.desc(), table.market_id)
    return many(
        MarketFigures, conn.execute(select(market_statistics).order_by(*order).limit(limit))
    )


class WalletFigures(msgspec.Struct, frozen=True):
    """A wallet's results over all its markets; amounts in lamports.

    ``realised_pnl`` may be negative; ``open_value`` and ``open_cost`` are of what is not settled.
    """

    wallet: bytes
    markets: int
    settled_markets: int
    trades: int
    volume: int
    invested: int
    proceeds: int
    claimed: int
    open_value: int
    open_cost: int
    realised_pnl: int


WALLET_SUMS = (
    "trades",
    "volume",
    "invested",
    "proceeds",
    "claimed",
    "open_value",
    "open_cost",
    "realised_pnl",
)
_WALLETS = select(
    wallet_statistics.c.wallet,
    func.count().label("markets"),
    func.count().filter(wallet_statistics.c.settled).label("settled_markets"),
    *(func.sum(wallet_statistics.c[name]).label(name) for name in WALLET_SUMS),
).group_by(wallet_statistics.c.wallet)


def figures_of_wallet(conn: Connection, wallet: bytes) -> WalletFigures | None:
    """Return the wallet's stored totals over the markets that have not changed since.

    None for a wallet without any.
    """
    fresh = (
        wallet_statistics.join(markets, markets.c.market_id == wallet_statistics.c.market_id)
    ).join(
        market_statistics,
        (market_statistics.c.market_id == markets.c.market_id)
        & (market_statistics.c.market_updated_at == markets.c.updated_at),
    )
    row = conn.execute(
        _WALLETS.select_from(fresh).where(wallet_statistics.c.wallet == wallet)
    ).one_or_none()
    return None if row is None else one(WalletFigures, row)


def wallets_by_invested(conn: Connection, *, limit: int = 10) -> list[WalletFigures]:
    """Return the wallets that invested the most."""
    order = (func.sum(wallet_statistics.c.invested).desc(), wallet_statistics.c.wallet)
    return many(WalletFigures, conn.execute(_WALLETS.order_by(*order).limit(limit)))


class StaleMarket(msgspec.Struct, frozen=True):
    """A market whose statistics are out of date."""

    market_id: bytes
    address: bytes
    trades_count: int
    updated_at: datetime


# A market whose statistics are not those of its rows.
STALE = or_(
    market_statistics.c.market_id.is_(None),
    market_statistics.c.market_updated_at != markets.c.updated_at,
)


def markets_to_refresh(conn: Connection, now: int | None) -> list[StaleMarket]:
    """Return markets that changed since their last refresh, or whose 24 hours have moved.

    Args:
        now: Chain seconds; None for all markets.
    """
    statement = (
        select(*(markets.c[name] for name in StaleMarket.__struct_fields__))
        .select_from(
            markets.outerjoin(
                market_statistics, market_statistics.c.market_id == markets.c.market_id
            )
        )
        .order_by(markets.c.market_id)
    )
    if now is not None:
        statement = statement.where(or_(STALE, market_statistics.c.valid_until <= now))
    return many(StaleMarket, conn.execute(statement))


class CandleMismatch(msgspec.Struct, frozen=True):
    """Candles of a market that do not match its trades, or lag behind them for too long.

    ``volume`` and ``trades`` are the candles' sums, ``expected_*`` those of the trades.
    """

    market_id: bytes
    interval: str
    volume: int
    expected_volume: int
    trades: int
    expected_trades: int
    behind: bool


def candle_mismatches(conn: Connection, patience: timedelta) -> list[CandleMismatch]:
    """Return where candles do not add up to the trades; empty when all match.

    Markets whose last change is younger than ``patience`` may be behind.
    """
    behind = case((STALE, True), else_=False)
    checked = (
        select(markets.c.market_id, behind.label("behind"))
        .select_from(
            markets.outerjoin(
                market_statistics, market_statistics.c.market_id == markets.c.market_id
            )
        )
        .where(or_(~behind, markets.c.updated_at < func.now() - patience))
        .cte("checked")
    )
    intervals = values(column("interval", Text), name="intervals").data(
        [(name,) for name in INTERVALS]
    )
    traded = (
        select(trades.c.market_id, func.sum(trades.c.cost).label("volume"), func.count().label("n"))
        .group_by(trades.c.market_id)
        .cte("traded")
    )
    drawn = (
        select(
            candles.c.market_id,
            candles.c.interval,
            func.sum(candles.c.volume).label("volume"),
            func.sum(candles.c.trades).label("n"),
        )
        .group_by(candles.c.market_id, candles.c.interval)
        .cte("drawn")
    )
    sums = {
        "volume": func.coalesce(drawn.c.volume, 0),
        "expected_volume": func.coalesce(traded.c.volume, 0),
        "trades": func.coalesce(drawn.c.n, 0),
        "expected_trades": func.coalesce(traded.c.n, 0),
    }
    statement = (
        select(
            checked.c.market_id,
            intervals.c.interval,
            *(column.label(name) for name, column in sums.items()),
            checked.c.behind,
        )
        .select_from(
            checked.join(intervals, true())
            .outerjoin(traded, traded.c.market_id == checked.c.market_id)
            .outerjoin(
                drawn,
                (drawn.c.market_id == checked.c.market_id)
                & (drawn.c.interval == intervals.c.interval),
            )
        )
        .where(
            or_(
                checked.c.behind,
                sums["volume"] != sums["expected_volume"],
                sums["trades"] != sums["expected_trades"],
            )
        )
        .order_by(checked.c.market_id, intervals.c.interval)
    )
    return many(CandleMismatch, conn.execute(statement))
