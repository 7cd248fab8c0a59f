"""Schema ``market``: statistics computed from trades and positions, refreshed every minute.

Every row belongs to one market and is recomputed from that market's rows, so a market whose
trades were orphaned is right again after its next refresh. Amounts are lamports, prices
have 9 decimals, times are chain seconds. A column's comment says what it is computed from, in
the columns of ``trades``, ``positions`` and ``markets``.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from zmart_pipelines.store.tables.base import BYTES, TIME, U64, metadata
from zmart_pipelines.store.tables.market import markets

# The length of the rows of pool_history and wallet_hours, in seconds.
HOUR: Final = 3_600

# The lengths of candles in seconds, by name.
INTERVALS: Final = {"1m": 60, "5m": 300, "1h": 3_600, "1d": 86_400}


def _market(source: str) -> Column[bytes]:
    return Column(
        "market_id",
        BYTES,
        ForeignKey(markets.c.market_id, ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
        comment=source,
    )


# The price of YES over the intervals in which the market was traded. ``starts_at`` is a
# multiple of the interval; ``open`` is the price after the interval's first trade, ``volume``
# the sum of its trades' costs. An interval without a trade has no row: its price is the
# close of the row before, PRECISION / 2 without one.
candles = Table(
    "candles",
    metadata,
    _market("Trades"),
    Column("interval", Text, primary_key=True, comment="Configuration: length of the candle"),
    Column("starts_at", BigInteger, primary_key=True, comment="trades.traded_at, rounded down"),
    Column(
        "open", BigInteger, nullable=False, comment="trades.price_yes of the interval's first trade"
    ),
    Column("high", BigInteger, nullable=False, comment="Largest trades.price_yes"),
    Column("low", BigInteger, nullable=False, comment="Smallest trades.price_yes"),
    Column(
        "close", BigInteger, nullable=False, comment="trades.price_yes of the interval's last trade"
    ),
    Column("volume", U64, nullable=False, comment="Sum of trades.cost"),
    Column("trades", Integer, nullable=False, comment="Number of trades"),
    CheckConstraint("interval IN ('1m', '5m', '1h', '1d')", name="interval"),
    CheckConstraint(
        "starts_at % (CASE interval WHEN '1m' THEN 60 WHEN '5m' THEN 300"
        " WHEN '1h' THEN 3600 ELSE 86400 END) = 0",
        name="starts_at",
    ),
    CheckConstraint(
        "0 <= low AND low <= open AND low <= close AND open <= high AND close <= high"
        " AND high <= 1000000000",
        name="prices",
    ),
    CheckConstraint("volume >= 0 AND trades > 0", name="volume"),
    schema="market",
)

# A market's trading as of the chain second ``as_of``. The 24 hours end with it; their
# figures stay valid until ``valid_until`` (None: indefinitely), when a trade leaves them.
# ``price_change_bps`` is None where the price 24 hours ago was 0. ``market_updated_at`` is that
# of the market's row it was computed from: where the two differ, the figures are due. While
# ``market_refolded_at`` is the market's own, they and its candles are those of its first
# ``total_trades`` trades, and only newer ones are missing from them.
market_statistics = Table(
    "market_statistics",
    metadata,
    _market("Markets"),
    Column("total_trades", Integer, nullable=False, comment="Number of trades"),
    Column("unique_traders", Integer, nullable=False, comment="Different trades.user"),
    Column("total_volume", U64, nullable=False, comment="Sum of trades.cost"),
    Column("buy_volume", U64, nullable=False, comment="Sum of trades.cost of buys"),
    Column("sell_volume", U64, nullable=False, comment="Sum of trades.cost of sells"),
    Column(
        "volume_24h", U64, nullable=False, comment="Sum of trades.cost in the 24 hours up to as_of"
    ),
    Column(
        "traders_24h",
        Integer,
        nullable=False,
        comment="Different trades.user in the 24 hours up to as_of",
    ),
    Column(
        "price_yes",
        BigInteger,
        nullable=False,
        comment="trades.price_yes of the last trade; half of PRECISION without trades",
    ),
    Column(
        "price_24h_ago",
        BigInteger,
        nullable=False,
        comment="trades.price_yes before these 24 hours; half of PRECISION without trades",
    ),
    Column(
        "price_change_bps",
        BigInteger,
        comment="Computed: change from price_24h_ago to price_yes, in basis points",
    ),
    Column("last_trade_at", BigInteger, comment="Largest trades.traded_at"),
    Column(
        "as_of",
        BigInteger,
        nullable=False,
        comment="Chain clock: when the statistics were computed, in seconds",
    ),
    Column(
        "valid_until",
        BigInteger,
        comment="Computed: when the oldest trade leaves the 24 hours, in chain seconds",
    ),
    Column(
        "market_updated_at",
        TIME,
        nullable=False,
        comment="markets.updated_at of the row that the statistics were computed from",
    ),
    Column(
        "market_refolded_at",
        TIME,
        comment="markets.refolded_at of the row that the statistics were computed from",
    ),
    CheckConstraint("total_volume = buy_volume + sell_volume", name="volume"),
    CheckConstraint(
        "buy_volume >= 0 AND sell_volume >= 0 AND volume_24h BETWEEN 0 AND total_volume",
        name="volumes",
    ),
    CheckConstraint(
        "unique_traders BETWEEN 0 AND total_trades"
        " AND (total_trades = 0) = (last_trade_at IS NULL)",
        name="trades",
    ),
    CheckConstraint("traders_24h BETWEEN 0 AND unique_traders", name="traders"),
    CheckConstraint("valid_until > as_of", name="valid_until"),
    Index("ix_market_statistics_as_of", "as_of"),
    schema="market",
)

# A market's pool after the last trade of each hour in which it was traded: what positions were
# worth then, and what its account holds. An hour without a trade has no row.
pool_history = Table(
    "pool_history",
    metadata,
    _market("Trades"),
    Column(
        "starts_at",
        BigInteger,
        primary_key=True,
        comment="trades.traded_at, rounded down to the hour",
    ),
    Column("shares_yes", U64, nullable=False, comment="Replayed: b_parameter / 1000 and trades"),
    Column("shares_no", U64, nullable=False, comment="Replayed: b_parameter / 1000 and trades"),
    Column(
        "liquidity",
        U64,
        nullable=False,
        comment="Replayed: markets.initial_liquidity and the fees that trades left in it",
    ),
    Column(
        "resolver_fees",
        U64,
        nullable=False,
        comment="Replayed: what trades earned the resolver",
    ),
    Column(
        "balance",
        U64,
        nullable=False,
        comment="Replayed: lamports of the account, if only trades had moved any",
    ),
    Column(
        "price_yes", BigInteger, nullable=False, comment="trades.price_yes of the hour's last trade"
    ),
    Column("trades", Integer, nullable=False, comment="Number of trades up to the hour's end"),
    CheckConstraint("starts_at % 3600 = 0", name="starts_at"),
    CheckConstraint("trades > 0 AND price_yes BETWEEN 0 AND 1000000000", name="trades"),
    schema="market",
)

# A wallet's result in a market; a wallet's totals are the sums of its rows. ``invested`` is
# all it paid in, ``proceeds`` what its sales brought, ``claimed`` its payout,
# ``open_value`` what it still holds by the program's payout formula and ``open_cost`` the
# average cost of that. A position is settled once its market is finalized and there is nothing
# left to claim. A sale, a claim and the settlement realise a profit, which may be negative.
wallet_statistics = Table(
    "wallet_statistics",
    metadata,
    Column("wallet", BYTES, primary_key=True, comment="positions.user"),
    _market("Positions"),
    Column("trades", Integer, nullable=False, comment="Number of trades"),
    Column("volume", U64, nullable=False, comment="Sum of trades.cost"),
    Column("invested", U64, nullable=False, comment="positions.total_invested"),
    Column("proceeds", U64, nullable=False, comment="Sum of trades.cost of sells"),
    Column("claimed", U64, nullable=False, comment="positions.claimed_amount"),
    Column(
        "open_value",
        U64,
        nullable=False,
        comment="Computed: the program's payout formula on positions and markets",
    ),
    Column(
        "open_cost",
        U64,
        nullable=False,
        comment="Computed: average cost of the shares held; 0 once claimed or settled",
    ),
    Column(
        "settled", Boolean, nullable=False, comment="Computed: market finalized and open_value 0"
    ),
    Column(
        "realised_pnl",
        U64,
        nullable=False,
        comment="Computed: proceeds + claimed - invested + open_cost",
    ),
    CheckConstraint("octet_length(wallet) = 32", name="wallet"),
    CheckConstraint(
        "trades >= 0 AND volume >= 0 AND invested >= 0 AND proceeds >= 0 AND claimed >= 0"
        " AND open_value >= 0 AND open_cost BETWEEN 0 AND invested",
        name="amounts",
    ),
    CheckConstraint("NOT settled OR open_value = 0 AND open_cost = 0", name="settled"),
    CheckConstraint(
        "realised_pnl = proceeds + claimed - invested + open_cost", name="realised_pnl"
    ),
    Index(None, "market_id"),
    schema="market",
)

# What a wallet traded and realised in a market, by the hour of chain time. A wallet's profit is
# the sum of its hours; ``resolved`` is 1 in the hour in which the market was finalized with an
# outcome while the wallet held more shares of one side, ``resolved_right`` if that side won.
wallet_hours = Table(
    "wallet_hours",
    metadata,
    Column("wallet", BYTES, primary_key=True, comment="positions.user"),
    _market("Positions"),
    Column(
        "starts_at",
        BigInteger,
        primary_key=True,
        comment="Hour of the trade, the claim or the finalization, in chain seconds",
    ),
    Column("trades", Integer, nullable=False, comment="Number of trades"),
    Column("volume", U64, nullable=False, comment="Sum of trades.cost"),
    Column(
        "realised_pnl",
        U64,
        nullable=False,
        comment="Computed: profits of sales, of the claim and of the settlement",
    ),
    Column(
        "resolved",
        Integer,
        nullable=False,
        comment="markets.final_outcome and positions: 1 where a larger side won or lost",
    ),
    Column("resolved_right", Integer, nullable=False, comment="The same: 1 where it won"),
    CheckConstraint("octet_length(wallet) = 32", name="wallet"),
    CheckConstraint("starts_at % 3600 = 0", name="starts_at"),
    CheckConstraint("trades >= 0 AND volume >= 0", name="trades"),
    CheckConstraint(
        "resolved BETWEEN 0 AND 1 AND resolved_right BETWEEN 0 AND resolved", name="resolved"
    ),
    Index(None, "market_id"),
    Index(None, "starts_at"),
    schema="market",
)
