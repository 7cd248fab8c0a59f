"""Schema ``market``: the projection, a fold of the ledger. It can be dropped and rebuilt.

The columns of ``markets`` and ``positions`` are the program's account fields under the
program's names, so that a row compares with a decoded account field by field. A column's
comment says where its values come from: the events (by the program's names), the data of the
instruction that emitted one, or a computation. No column is copied from an account; accounts
are what reconciliation compares the rows with.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.tables.base import BYTES, COMMITMENT, TIME, U64, metadata

# One row per market. ``state`` is the program's number (0 PROPOSED … 6 CANCELLED). Times
# are chain seconds, 0 where the chain has 0. ``question_hash`` and ``initial_liquidity``
# come from create_market's instruction data, dispute counts from finalize_market's; the
# split of fees is recomputed from the configuration in force. ``as_of_slot`` and
# ``commitment`` are those of the last event folded (the lowest commitment among them).
markets = Table(
    "markets",
    metadata,
    Column("market_id", BYTES, primary_key=True, comment="MarketCreated"),
    Column("address", BYTES, nullable=False, unique=True, comment="Computed: PDA of market_id"),
    Column("creator", BYTES, nullable=False, comment="MarketCreated"),
    Column(
        "state",
        SmallInteger,
        CheckConstraint(f"state BETWEEN {min(MarketState)} AND {max(MarketState)}", name="state"),
        nullable=False,
        comment="Last event that changes it; a number of MarketState",
    ),
    Column("b_parameter", U64, nullable=False, comment="MarketCreated"),
    Column("initial_liquidity", U64, nullable=False, comment="Data of create_market"),
    Column(
        "current_liquidity",
        U64,
        nullable=False,
        comment="Data of create_market, then recomputed for each trade; 0 after LiquidityWithdrawn",
    ),
    Column(
        "shares_yes",
        U64,
        nullable=False,
        comment="b_parameter / 1000, then SharesBought and SharesSold",
    ),
    Column(
        "shares_no",
        U64,
        nullable=False,
        comment="b_parameter / 1000, then SharesBought and SharesSold",
    ),
    Column(
        "total_volume",
        U64,
        nullable=False,
        comment="SharesBought; for SharesSold the gross amount, recomputed",
    ),
    Column("created_at", BigInteger, nullable=False, comment="MarketCreated"),
    Column("approved_at", BigInteger, nullable=False, comment="ProposalApproved"),
    Column("activated_at", BigInteger, nullable=False, comment="MarketActivated"),
    Column("resolution_proposed_at", BigInteger, nullable=False, comment="MarketResolved"),
    Column(
        "resolved_at",
        BigInteger,
        nullable=False,
        comment="DisputeAggregated of a rejected dispute",
    ),
    Column("finalized_at", BigInteger, nullable=False, comment="MarketFinalized"),
    Column("resolver", BYTES, comment="MarketResolved"),
    Column("proposed_outcome", Boolean, comment="MarketResolved"),
    Column("final_outcome", Boolean, comment="MarketFinalized"),
    Column("question_hash", Text, comment="Data of create_market"),
    Column("evidence_hash", Text, comment="MarketResolved"),
    Column("dispute_initiated_at", BigInteger, nullable=False, comment="DisputeInitiated"),
    Column("dispute_initiator", BYTES, comment="DisputeInitiated"),
    Column(
        "accumulated_resolver_fees",
        U64,
        nullable=False,
        comment="Recomputed for each trade with the fees in force; 0 after WinningsClaimed",
    ),
    Column(
        "accumulated_lp_fees",
        U64,
        nullable=False,
        comment="Recomputed for each trade with the fees in force; 0 after LiquidityWithdrawn",
    ),
    Column("proposal_likes", BigInteger, nullable=False, comment="ProposalAggregated"),
    Column("proposal_dislikes", BigInteger, nullable=False, comment="ProposalAggregated"),
    Column(
        "dispute_agree",
        BigInteger,
        nullable=False,
        comment="DisputeAggregated, or data of finalize_market",
    ),
    Column(
        "dispute_disagree",
        BigInteger,
        nullable=False,
        comment="DisputeAggregated, or data of finalize_market",
    ),
    Column("was_disputed", Boolean, nullable=False, comment="MarketFinalized or DisputeAggregated"),
    Column("cancelled_at", BigInteger, comment="MarketCancelled"),
    Column(
        "price_yes",
        BigInteger,
        nullable=False,
        comment="Last SharesBought or SharesSold; half of PRECISION before the first",
    ),
    Column(
        "trades_count", Integer, nullable=False, comment="Number of SharesBought and SharesSold"
    ),
    Column("as_of_slot", BigInteger, nullable=False, comment="Last event folded"),
    Column("as_of_index", Integer, nullable=False, comment="Last event folded"),
    Column("as_of_log", Integer, nullable=False, comment="Last event folded"),
    Column("commitment", COMMITMENT, nullable=False, comment="Lowest of the events folded"),
    Column(
        "updated_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row last changed",
    ),
    Column(
        "refolded_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the market was last folded from its first event",
    ),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("octet_length(address) = 32", name="address"),
    Index(None, "state", "created_at"),
    Index(
        "ix_markets_approved",
        "approved_at",
        postgresql_where=text(f"state = {MarketState.APPROVED}"),
    ),
    Index(
        "ix_markets_resolving",
        "resolution_proposed_at",
        postgresql_where=text(f"state = {MarketState.RESOLVING}"),
    ),
    Index(
        "ix_markets_disputed",
        "dispute_initiated_at",
        postgresql_where=text(f"state = {MarketState.DISPUTED}"),
    ),
    Index(
        "ix_markets_finalized",
        "updated_at",
        postgresql_where=text(f"state = {MarketState.FINALIZED}"),
    ),
    Index(None, "created_at", "market_id"),
    # The time of each state transition.
    *(
        Index(f"ix_markets_{name}", name, postgresql_where=text(f"{name} > 0"))
        for name in (
            "approved_at",
            "activated_at",
            "resolution_proposed_at",
            "dispute_initiated_at",
            "finalized_at",
            "cancelled_at",
        )
    ),
    Index("ix_markets_creator_created_at_market_id", "creator", "created_at", "market_id"),
    Index(None, "resolver", postgresql_where=text("resolver IS NOT NULL")),
    Index(None, "dispute_initiator", postgresql_where=text("dispute_initiator IS NOT NULL")),
    Index("ix_markets_total_volume_market_id", "total_volume", "market_id"),
    Index("ix_markets_current_liquidity_market_id", "current_liquidity", "market_id"),
    schema="market",
)

# How many markets there are by state and category. Triggers on ``markets`` and on the drafts keep
# it; ``markets`` is the sum over the rows of a state and category, of which there are several
# because concurrent transactions do not wait for each other's.
market_counts = Table(
    "market_counts",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("state", SmallInteger, nullable=False, comment="markets.state"),
    Column(
        "category",
        Text,
        nullable=False,
        comment="Category of the matched draft; empty where the market has none",
    ),
    Column(
        "markets",
        BigInteger,
        nullable=False,
        comment="Computed: markets that came, less those that went; one of several rows with a sum",
    ),
    Index(None, "state", "category"),
    schema="market",
)


def _market(source: str, *, primary_key: bool = False) -> Column[bytes]:
    return Column(
        "market_id",
        BYTES,
        ForeignKey(markets.c.market_id, ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
        comment=source,
    )


positions = Table(
    "positions",
    metadata,
    _market("SharesBought", primary_key=True),
    Column("user", BYTES, primary_key=True, comment="SharesBought"),
    Column("shares_yes", U64, nullable=False, comment="SharesBought less SharesSold"),
    Column("shares_no", U64, nullable=False, comment="SharesBought less SharesSold"),
    Column("total_invested", U64, nullable=False, comment="Sum of SharesBought.cost"),
    Column(
        "trades_count", BigInteger, nullable=False, comment="Number of SharesBought and SharesSold"
    ),
    Column("first_trade_at", BigInteger, nullable=False, comment="First SharesBought"),
    Column("last_trade_at", BigInteger, nullable=False, comment="Last SharesBought or SharesSold"),
    Column("has_claimed", Boolean, nullable=False, comment="WinningsClaimed"),
    Column("claimed_amount", U64, nullable=False, comment="WinningsClaimed"),
    Column("as_of_slot", BigInteger, nullable=False, comment="Last event folded"),
    Index(None, "user"),
    schema="market",
)

# ``cost`` is what the event says: a buy's total with fees, a sell's net proceeds.
trades = Table(
    "trades",
    metadata,
    Column("signature", BYTES, primary_key=True, comment="Transaction"),
    Column("log_index", Integer, primary_key=True, comment="Transaction: line number in its log"),
    _market("SharesBought or SharesSold"),
    Column("user", BYTES, nullable=False, comment="SharesBought or SharesSold"),
    Column(
        "trade_type",
        Text,
        CheckConstraint("trade_type IN ('buy', 'sell')", name="trade_type"),
        nullable=False,
        comment="Name of the event",
    ),
    Column("outcome", Boolean, nullable=False, comment="SharesBought or SharesSold"),
    Column("shares", U64, nullable=False, comment="SharesBought or SharesSold"),
    Column(
        "cost",
        U64,
        nullable=False,
        comment="SharesBought.cost with fees, SharesSold.proceeds after them",
    ),
    Column(
        "price_yes",
        BigInteger,
        nullable=False,
        comment="Event: new_price_yes, the price after the trade",
    ),
    Column("traded_at", BigInteger, nullable=False, comment="Timestamp of the event"),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column(
        "index_in_block",
        Integer,
        nullable=False,
        comment="Transaction; -1 where no node reports it",
    ),
    Column("commitment", COMMITMENT, nullable=False, comment="Transaction"),
    Index(None, "market_id", "slot", "index_in_block", "log_index"),
    Index(None, "market_id", "traded_at"),
    Index(None, "traded_at"),
    Index(None, "user", "slot"),
    Index(None, "user", "market_id"),
    Index(None, "slot", "index_in_block", "log_index"),
    schema="market",
)

claims = Table(
    "claims",
    metadata,
    Column("signature", BYTES, primary_key=True, comment="Transaction"),
    Column("log_index", Integer, primary_key=True, comment="Transaction: line number in its log"),
    _market("WinningsClaimed, by the market's address"),
    Column("user", BYTES, nullable=False, comment="WinningsClaimed"),
    Column(
        "outcome",
        Boolean,
        comment="WinningsClaimed; for its older layout the market's final outcome",
    ),
    Column("amount", U64, nullable=False, comment="WinningsClaimed"),
    Column("claimed_at", BigInteger, nullable=False, comment="Timestamp of the event"),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column("commitment", COMMITMENT, nullable=False, comment="Transaction"),
    Index(None, "market_id"),
    Index(None, "user", "slot"),
    schema="market",
)

# VoteRecords: votes cast on chain. One per wallet, market and kind, permanently.
chain_votes = Table(
    "chain_votes",
    metadata,
    _market("ProposalVoteSubmitted or DisputeVoteSubmitted", primary_key=True),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute')", name="kind"),
        primary_key=True,
        comment="Name of the event",
    ),
    Column("wallet", BYTES, primary_key=True, comment="The event's user"),
    Column("choice", Boolean, nullable=False, comment="The event's vote"),
    Column("voted_at", BigInteger, nullable=False, comment="Timestamp of the event"),
    Column("signature", BYTES, nullable=False, comment="Transaction"),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column("commitment", COMMITMENT, nullable=False, comment="Transaction"),
    Index(None, "signature"),
    Index(None, "wallet"),
    schema="market",
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("signature", BYTES, primary_key=True, comment="Transaction"),
    Column("log_index", Integer, primary_key=True, comment="Transaction: line number in its log"),
    _market("LiquidityWithdrawn"),
    Column("creator", BYTES, nullable=False, comment="LiquidityWithdrawn"),
    Column("amount", U64, nullable=False, comment="LiquidityWithdrawn"),
    Column("withdrawn_at", BigInteger, nullable=False, comment="Timestamp of the event"),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Index(None, "market_id"),
    schema="market",
)

# The configuration's history: one row per GlobalConfigInitialized, ConfigUpdated and
# ProtocolPauseStatusChanged, each with the whole configuration after it.
config_history = Table(
    "config_history",
    metadata,
    Column("signature", BYTES, primary_key=True, comment="Transaction"),
    Column("log_index", Integer, primary_key=True, comment="Transaction: line number in its log"),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column(
        "index_in_block",
        Integer,
        nullable=False,
        comment="Transaction; -1 where no node reports it",
    ),
    Column("changed_at", BigInteger, nullable=False, comment="Timestamp of the event"),
    Column(
        "protocol_fee_bps",
        Integer,
        nullable=False,
        comment="GlobalConfigInitialized or ConfigUpdated",
    ),
    Column(
        "resolver_reward_bps",
        Integer,
        nullable=False,
        comment="ConfigUpdated; before it the program's default",
    ),
    Column(
        "liquidity_provider_fee_bps",
        Integer,
        nullable=False,
        comment="ConfigUpdated; before it the program's default",
    ),
    Column(
        "proposal_approval_threshold",
        Integer,
        nullable=False,
        comment="ConfigUpdated; before it the program's default",
    ),
    Column(
        "dispute_success_threshold",
        Integer,
        nullable=False,
        comment="ConfigUpdated; before it the program's default",
    ),
    Column(
        "min_resolution_delay",
        BigInteger,
        nullable=False,
        comment="ConfigUpdated; before it the program's default",
    ),
    Column(
        "dispute_period",
        BigInteger,
        nullable=False,
        comment="ConfigUpdated; before it the program's default",
    ),
    Column("is_paused", Boolean, nullable=False, comment="ProtocolPauseStatusChanged"),
    Index(None, "slot", "index_in_block", "log_index"),
    schema="market",
)
