"""Schema ``market``: the projection, a fold of the ledger. It can be dropped and rebuilt.

The columns of ``markets`` and ``positions`` are the program's account fields under the
program's names, so that a row compares with a decoded account field by field.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    func,
)

from zmart_pipelines.store.tables.base import BYTES, COMMITMENT, TIME, U64, metadata

# One row per market. ``state`` is the program's number (0 PROPOSED … 6 CANCELLED). Times
# are chain seconds, 0 where the chain has 0. ``question_hash`` and ``initial_liquidity``
# come from create_market's instruction data, dispute counts from finalize_market's; the
# split of fees is recomputed from the configuration in force. ``as_of_slot`` and
# ``commitment`` are those of the last event folded (the lowest commitment among them).
markets = Table(
    "markets",
    metadata,
    Column("market_id", BYTES, primary_key=True),
    Column("address", BYTES, nullable=False, unique=True),
    Column("creator", BYTES, nullable=False),
    Column(
        "state",
        SmallInteger,
        CheckConstraint("state BETWEEN 0 AND 6", name="state"),
        nullable=False,
    ),
    Column("b_parameter", U64, nullable=False),
    Column("initial_liquidity", U64, nullable=False),
    Column("current_liquidity", U64, nullable=False),
    Column("shares_yes", U64, nullable=False),
    Column("shares_no", U64, nullable=False),
    Column("total_volume", U64, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("approved_at", BigInteger, nullable=False),
    Column("activated_at", BigInteger, nullable=False),
    Column("resolution_proposed_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger, nullable=False),
    Column("finalized_at", BigInteger, nullable=False),
    Column("resolver", BYTES),
    Column("proposed_outcome", Boolean),
    Column("final_outcome", Boolean),
    Column("question_hash", Text),
    Column("evidence_hash", Text),
    Column("dispute_initiated_at", BigInteger, nullable=False),
    Column("dispute_initiator", BYTES),
    Column("accumulated_resolver_fees", U64, nullable=False),
    Column("accumulated_lp_fees", U64, nullable=False),
    Column("proposal_likes", BigInteger, nullable=False),
    Column("proposal_dislikes", BigInteger, nullable=False),
    Column("dispute_agree", BigInteger, nullable=False),
    Column("dispute_disagree", BigInteger, nullable=False),
    Column("was_disputed", Boolean, nullable=False),
    Column("cancelled_at", BigInteger),
    Column("price_yes", BigInteger, nullable=False),
    Column("trades_count", Integer, nullable=False),
    Column("as_of_slot", BigInteger, nullable=False),
    Column("as_of_index", Integer, nullable=False),
    Column("as_of_log", Integer, nullable=False),
    Column("commitment", COMMITMENT, nullable=False),
    Column("updated_at", TIME, nullable=False, server_default=func.now()),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("octet_length(address) = 32", name="address"),
    Index(None, "state", "created_at"),
    Index(None, "created_at", "market_id"),
    Index(None, "creator"),
    schema="market",
)


def _market(*, primary_key: bool = False) -> Column[bytes]:
    return Column(
        "market_id",
        BYTES,
        ForeignKey(markets.c.market_id, ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


positions = Table(
    "positions",
    metadata,
    _market(primary_key=True),
    Column("user", BYTES, primary_key=True),
    Column("shares_yes", U64, nullable=False),
    Column("shares_no", U64, nullable=False),
    Column("total_invested", U64, nullable=False),
    Column("trades_count", BigInteger, nullable=False),
    Column("first_trade_at", BigInteger, nullable=False),
    Column("last_trade_at", BigInteger, nullable=False),
    Column("has_claimed", Boolean, nullable=False),
    Column("claimed_amount", U64, nullable=False),
    Column("as_of_slot", BigInteger, nullable=False),
    Index(None, "user"),
    schema="market",
)

# ``cost`` is what the event says: a buy's total with fees, a sell's net proceeds.
trades = Table(
    "trades",
    metadata,
    Column("signature", BYTES, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    _market(),
    Column("user", BYTES, nullable=False),
    Column(
        "trade_type",
        Text,
        CheckConstraint("trade_type IN ('buy', 'sell')", name="trade_type"),
        nullable=False,
    ),
    Column("outcome", Boolean, nullable=False),
    Column("shares", U64, nullable=False),
    Column("cost", U64, nullable=False),
    Column("price_yes", BigInteger, nullable=False),
    Column("traded_at", BigInteger, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("index_in_block", Integer, nullable=False),
    Column("commitment", COMMITMENT, nullable=False),
    Index(None, "market_id", "slot", "index_in_block", "log_index"),
    Index(None, "user", "slot"),
    Index(None, "slot", "index_in_block", "log_index"),
    schema="market",
)

claims = Table(
    "claims",
    metadata,
    Column("signature", BYTES, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    _market(),
    Column("user", BYTES, nullable=False),
    Column("outcome", Boolean),
    Column("amount", U64, nullable=False),
    Column("claimed_at", BigInteger, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("commitment", COMMITMENT, nullable=False),
    Index(None, "market_id"),
    Index(None, "user", "slot"),
    schema="market",
)

# VoteRecords: votes cast on chain. One per wallet, market and kind, for ever.
chain_votes = Table(
    "chain_votes",
    metadata,
    _market(primary_key=True),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute')", name="kind"),
        primary_key=True,
    ),
    Column("wallet", BYTES, primary_key=True),
    Column("choice", Boolean, nullable=False),
    Column("voted_at", BigInteger, nullable=False),
    Column("signature", BYTES, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("commitment", COMMITMENT, nullable=False),
    Index(None, "signature"),
    Index(None, "wallet"),
    schema="market",
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("signature", BYTES, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    _market(),
    Column("creator", BYTES, nullable=False),
    Column("amount", U64, nullable=False),
    Column("withdrawn_at", BigInteger, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Index(None, "market_id"),
    schema="market",
)

# The configuration's history: one row per GlobalConfigInitialized, ConfigUpdated and
# ProtocolPauseStatusChanged, each with the whole configuration after it.
config_history = Table(
    "config_history",
    metadata,
    Column("signature", BYTES, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    Column("slot", BigInteger, nullable=False),
    Column("index_in_block", Integer, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("protocol_fee_bps", Integer, nullable=False),
    Column("resolver_reward_bps", Integer, nullable=False),
    Column("liquidity_provider_fee_bps", Integer, nullable=False),
    Column("proposal_approval_threshold", Integer, nullable=False),
    Column("dispute_success_threshold", Integer, nullable=False),
    Column("min_resolution_delay", BigInteger, nullable=False),
    Column("dispute_period", BigInteger, nullable=False),
    Column("is_paused", Boolean, nullable=False),
    Index(None, "slot", "index_in_block", "log_index"),
    schema="market",
)
