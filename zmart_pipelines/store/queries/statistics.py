"""Figures of markets and wallets: volumes, price history, what is trending.

Markets' figures are read from the table that the pipelines refresh each minute, while it is
right: until the market changes or a trade leaves the last day. Otherwise they are continued by the
trades since, or added up where the market was folded again.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    LargeBinary,
    Numeric,
    and_,
    column,
    func,
    literal,
    or_,
    select,
    true,
)

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.store.queries import discussions, newest_trades, votes
from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.markets import MATCHED, QUESTION
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables import community, market
from zmart_pipelines.store.tables.statistics import market_statistics

DAY = 86_400
LAMPORTS = 1_000_000_000

_markets = market.markets
_trades = market.trades
_drafts = community.market_drafts
_stored = market_statistics


def _right(now: int) -> ColumnElement[bool]:
    """Whether a market's stored figures are those of its trades at ``now``."""
    return and_(
        _stored.c.market_id == _markets.c.market_id,
        _stored.c.market_updated_at == _markets.c.updated_at,
        or_(_stored.c.valid_until.is_(None), _stored.c.valid_until > now),
    )


class MarketStats(msgspec.Struct, frozen=True):
    """A market's trading: amounts in lamports, a buy with fees and a sell net of them."""

    total_volume: int
    total_trades: int
    unique_traders: int
    buy_volume: int
    sell_volume: int
    volume_24h: int
    last_trade_at: int | None


def statistics_of_market(conn: Connection, market_id: bytes, now: int) -> MarketStats:
    """Return the market's figures (zeros where it has no trades), as stored where that is right.

    Args:
        now: Chain seconds; the end of the last day.
    """
    columns = [_stored.c[name] for name in MarketStats.__struct_fields__]
    statement = select(*columns).join_from(_markets, _stored, _right(now))
    row = conn.execute(statement.where(_markets.c.market_id == market_id)).one_or_none()
    if row is not None:
        return one(MarketStats, row)
    newer = newest_trades.trades_without_candles(conn, market_id)
    if newer is None:
        return added_up(conn, market_id, now)
    return _continued(conn, market_id, now, newer)


def _continued(conn: Connection, market_id: bytes, now: int, newer: int) -> MarketStats:
    """Return the stored figures with the market's newest ``newer`` trades, which they lack."""
    stored = conn.execute(
        select(_stored.c.total_trades, _stored.c.buy_volume, _stored.c.sell_volume).where(
            _stored.c.market_id == market_id
        )
    ).one()
    bought, sold = newest_trades.newest_costs(conn, market_id, newer)
    last: int | None = conn.execute(
        select(func.max(_trades.c.traded_at)).where(_trades.c.market_id == market_id)
    ).scalar_one()
    # Every trader has one position in the market, which the ledger keeps.
    held = select(func.count()).where(market.positions.c.market_id == market_id)
    return MarketStats(
        total_volume=stored.buy_volume + stored.sell_volume + bought + sold,
        total_trades=stored.total_trades + newer,
        unique_traders=conn.execute(held).scalar_one(),
        buy_volume=stored.buy_volume + bought,
        sell_volume=stored.sell_volume + sold,
        volume_24h=newest_trades.trading_since(conn, market_id, now - DAY + 1).volume,
        last_trade_at=last,
    )


def added_up(conn: Connection, market_id: bytes, now: int) -> MarketStats:
    """Return the market's figures, from all its trades."""
    cost = _trades.c.cost
    row = conn.execute(
        select(
            func.coalesce(func.sum(cost), 0).label("total_volume"),
            func.count().label("total_trades"),
            func.count(func.distinct(_trades.c.user)).label("unique_traders"),
            func.coalesce(func.sum(cost).filter(_trades.c.trade_type == "buy"), 0).label(
                "buy_volume"
            ),
            func.coalesce(func.sum(cost).filter(_trades.c.trade_type == "sell"), 0).label(
                "sell_volume"
            ),
            func.coalesce(func.sum(cost).filter(_trades.c.traded_at > now - DAY), 0).label(
                "volume_24h"
            ),
            func.max(_trades.c.traded_at).label("last_trade_at"),
        ).where(_trades.c.market_id == market_id)
    ).one()
    return one(MarketStats, row)


class PricePoint(msgspec.Struct, frozen=True):
    """The price of YES (9 decimals) after a trade, and when that was (chain seconds)."""

    traded_at: int
    price_yes: int
    slot: int
    index_in_block: int
    log_index: int
    signature: bytes


PRICE_HISTORY = Order(
    "price-history",
    tuple(
        KeyColumn(name, _trades.c[name], descending=True)
        for name in ("slot", "index_in_block", "log_index", "signature")
    ),
)


def price_history(
    conn: Connection, market_id: bytes, *, after: Key | None = None, limit: int = 100
) -> list[PricePoint]:
    """Return the last ``limit`` prices of a market, the oldest first.

    Args:
        after: Key in ``PRICE_HISTORY`` of the oldest price of the page before.
    """
    statement = select(*(_trades.c[name] for name in PricePoint.__struct_fields__)).where(
        _trades.c.market_id == market_id
    )
    newest = PRICE_HISTORY.page(statement, after=after, limit=limit)
    return many(PricePoint, conn.execute(newest))[::-1]


def latest_prices(
    conn: Connection, market_ids: Collection[bytes], *, limit: int
) -> dict[bytes, list[int]]:
    """Return the last ``limit`` prices of each market that has trades, the oldest first."""
    ids = (
        func.unnest(literal(list(market_ids), ARRAY(LargeBinary)))
        .table_valued(column("market_id", LargeBinary))
        .render_derived("wanted")
    )
    newest = PRICE_HISTORY.page(
        select(*(_trades.c[name] for name in PricePoint.__struct_fields__)).where(
            _trades.c.market_id == ids.c.market_id
        ),
        after=None,
        limit=limit,
    ).lateral("newest")
    rows = conn.execute(select(ids.c.market_id, newest.c.price_yes).join_from(ids, newest, true()))
    found: dict[bytes, list[int]] = {}
    for market_id, price in rows:
        found.setdefault(market_id, []).insert(0, price)
    return found


class TrendingMarket(msgspec.Struct, frozen=True):
    """An active market by its last day of trading.

    Attributes:
        price_yes: now; ``price_24h_ago`` where it stood a day ago (the opening price
            where it is younger), both with 9 decimals.
        volume_24h: lamports.
    """

    market_id: bytes
    question: str
    price_yes: int
    price_24h_ago: int
    volume_24h: int
    unique_traders: int


def trending(conn: Connection, now: int, *, limit: int = 3) -> list[TrendingMarket]:
    """Active markets with the highest score of the last day: 0.6 x volume (SOL) + 0.4 x traders.

    Args:
        now: Chain seconds; the end of the last day.
    """
    recent = (
        select(
            func.coalesce(func.sum(_trades.c.cost), 0).label("volume"),
            func.count(func.distinct(_trades.c.user)).label("traders"),
        )
        .where(
            _stored.c.market_id.is_(None),
            _trades.c.market_id == _markets.c.market_id,
            _trades.c.traded_at > now - DAY,
        )
        .lateral("recent")
    )
    before = (
        select(_trades.c.price_yes)
        .where(_trades.c.market_id == _markets.c.market_id, _trades.c.traded_at <= now - DAY)
        .order_by(
            _trades.c.slot.desc(), _trades.c.index_in_block.desc(), _trades.c.log_index.desc()
        )
        .limit(1)
        .scalar_subquery()
    )
    volume = func.coalesce(_stored.c.volume_24h, recent.c.volume)
    traders = func.coalesce(_stored.c.traders_24h, recent.c.traders)
    statement = (
        select(
            _markets.c.market_id,
            QUESTION.label("question"),
            _markets.c.price_yes,
            func.coalesce(_stored.c.price_24h_ago, before, literal(PRECISION // 2)).label(
                "price_24h_ago"
            ),
            volume.label("volume_24h"),
            traders.label("unique_traders"),
        )
        .select_from(
            _markets.outerjoin(_drafts, MATCHED)
            .outerjoin(_stored, _right(now))
            .outerjoin(recent, true())
        )
        .where(_markets.c.state == MarketState.ACTIVE.value)
        .order_by(
            (6 * volume + literal(4 * LAMPORTS, Numeric) * traders).desc(),
            volume.desc(),
            _markets.c.created_at.desc(),
            _markets.c.market_id,
        )
        .limit(limit)
    )
    return many(TrendingMarket, conn.execute(statement))


class UserStats(msgspec.Struct, frozen=True):
    """What a wallet did. ``total_volume`` in lamports."""

    total_trades: int
    total_volume: int
    markets_traded: int
    markets_created: int
    proposal_votes: int
    dispute_votes: int
    discussions: int
    claimed: int

    @property
    def total_votes(self) -> int:
        """Votes of both kinds."""
        return self.proposal_votes + self.dispute_votes


def statistics_of_user(conn: Connection, wallet: bytes) -> UserStats:
    """Return the wallet's figures (zeros for an unknown one)."""
    trades = conn.execute(
        select(
            func.count().label("number"),
            func.coalesce(func.sum(_trades.c.cost), 0).label("volume"),
            func.count(func.distinct(_trades.c.market_id)).label("markets"),
        ).where(_trades.c.user == wallet)
    ).one()
    created = conn.execute(
        select(func.count()).select_from(_markets).where(_markets.c.creator == wallet)
    ).scalar_one()
    claimed = conn.execute(
        select(func.coalesce(func.sum(market.claims.c.amount), 0)).where(
            market.claims.c.user == wallet
        )
    ).scalar_one()
    cast = votes.counts_of_wallet(conn, wallet)
    return UserStats(
        total_trades=trades.number,
        total_volume=int(trades.volume),
        markets_traded=trades.markets,
        markets_created=created,
        proposal_votes=cast["proposal"],
        dispute_votes=cast["dispute"],
        discussions=discussions.count_of_wallet(conn, wallet),
        claimed=int(claimed),
    )
