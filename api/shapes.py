"""What answers look like: the rows of the tables in the names that clients know.

Integers are integers; the fields of a row that may pass 2^53 stand once more, as text,
under ``exact``. Times are ISO 8601 in UTC; a time the chain has not set is null.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from api.identifiers import base58_key, base58_signature
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import markets, positions, trades

PRICE_SCALE = 1_000_000_000


def iso(moment: datetime) -> str:
    """``moment`` as ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def chain_time(seconds: int | None) -> str | None:
    """Chain seconds as ISO 8601; None for 0 and None, which mean "not yet"."""
    return iso(datetime.fromtimestamp(seconds, UTC)) if seconds else None


def key_or_none(key: bytes | None) -> str | None:
    """A key in base58; None where there is none or it is all zeros."""
    return base58_key(key) if key and any(key) else None


def fraction(price: int) -> float:
    """A 9-decimal price as a number between 0 and 1."""
    return price / PRICE_SCALE


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A market. ``state`` and ``status`` are the program's word, ``state_code`` its number."""

    id: str
    on_chain_address: str
    question: str
    description: str | None
    category: str | None
    tags: list[str]
    state: str
    status: str
    state_code: int
    creator_wallet: str
    creator: str
    resolver_wallet: str | None
    dispute_initiator: str | None
    b_parameter: int
    liquidity_parameter: int
    initial_liquidity: int
    current_liquidity: int
    shares_yes: int
    shares_no: int
    total_yes_shares: int
    total_no_shares: int
    total_volume: int
    trades_count: int
    price_yes: int
    price_no: int
    current_price_yes: float
    current_price_no: float
    accumulated_resolver_fees: int
    accumulated_lp_fees: int
    proposal_likes: int
    proposal_dislikes: int
    dispute_agree: int
    dispute_disagree: int
    was_disputed: bool
    is_cancelled: bool
    proposed_outcome: bool | None
    final_outcome: bool | None
    ipfs_question_hash: str | None
    ipfs_evidence_hash: str | None
    created_at: str | None
    approved_at: str | None
    activated_at: str | None
    resolution_proposed_at: str | None
    dispute_initiated_at: str | None
    resolved_at: str | None
    finalized_at: str | None
    cancelled_at: str | None
    ends_at: str | None
    end_date: str | None
    updated_at: str
    commitment: str
    as_of_slot: int
    exact: dict[str, str]


def _exact(row: msgspec.Struct, *fields: str) -> dict[str, str]:
    return {field: str(getattr(row, field)) for field in fields}


def market(row: markets.Market) -> Market:
    """A market's row as clients read it."""
    state = MarketState(row.state).name
    creator = base58_key(row.creator)
    ends_at = iso(row.ends_at) if row.ends_at else None
    return Market(
        id=row.market_id.hex(),
        on_chain_address=base58_key(row.address),
        question=row.question,
        description=row.description,
        category=row.category,
        tags=row.tags or [],
        state=state,
        status=state,
        state_code=row.state,
        creator_wallet=creator,
        creator=creator,
        resolver_wallet=key_or_none(row.resolver),
        dispute_initiator=key_or_none(row.dispute_initiator),
        b_parameter=row.b_parameter,
        liquidity_parameter=row.b_parameter,
        initial_liquidity=row.initial_liquidity,
        current_liquidity=row.current_liquidity,
        shares_yes=row.shares_yes,
        shares_no=row.shares_no,
        total_yes_shares=row.shares_yes,
        total_no_shares=row.shares_no,
        total_volume=row.total_volume,
        trades_count=row.trades_count,
        price_yes=row.price_yes,
        price_no=PRICE_SCALE - row.price_yes,
        current_price_yes=fraction(row.price_yes),
        current_price_no=fraction(PRICE_SCALE - row.price_yes),
        accumulated_resolver_fees=row.accumulated_resolver_fees,
        accumulated_lp_fees=row.accumulated_lp_fees,
        proposal_likes=row.proposal_likes,
        proposal_dislikes=row.proposal_dislikes,
        dispute_agree=row.dispute_agree,
        dispute_disagree=row.dispute_disagree,
        was_disputed=row.was_disputed,
        is_cancelled=row.state == MarketState.CANCELLED,
        proposed_outcome=row.proposed_outcome,
        final_outcome=row.final_outcome,
        ipfs_question_hash=row.question_hash,
        ipfs_evidence_hash=row.evidence_hash,
        created_at=chain_time(row.created_at),
        approved_at=chain_time(row.approved_at),
        activated_at=chain_time(row.activated_at),
        resolution_proposed_at=chain_time(row.resolution_proposed_at),
        dispute_initiated_at=chain_time(row.dispute_initiated_at),
        resolved_at=chain_time(row.resolved_at),
        finalized_at=chain_time(row.finalized_at),
        cancelled_at=chain_time(row.cancelled_at),
        ends_at=ends_at,
        end_date=ends_at,
        updated_at=iso(row.updated_at),
        commitment=row.commitment,
        as_of_slot=row.as_of_slot,
        exact=_exact(
            row,
            "b_parameter",
            "initial_liquidity",
            "current_liquidity",
            "shares_yes",
            "shares_no",
            "total_volume",
            "accumulated_resolver_fees",
            "accumulated_lp_fees",
        ),
    )


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade. ``cost``: a buy's total with fees, a sell's net proceeds, in lamports."""

    id: str
    market_id: str
    user_wallet: str
    user: str
    trade_type: str
    outcome: bool
    side: str
    shares: int
    cost: int
    price_yes: int
    price_after: float
    tx_signature: str
    block_time: str | None
    timestamp: str | None
    created_at: str | None
    slot: int
    commitment: str
    exact: dict[str, str]


def trade(row: trades.Trade) -> Trade:
    """A trade's row as clients read it."""
    user = base58_key(row.user)
    signature = base58_signature(row.signature)
    moment = chain_time(row.traded_at)
    return Trade(
        id=f"{signature}:{row.log_index}",
        market_id=row.market_id.hex(),
        user_wallet=user,
        user=user,
        trade_type=row.trade_type,
        outcome=row.outcome,
        side="YES" if row.outcome else "NO",
        shares=row.shares,
        cost=row.cost,
        price_yes=row.price_yes,
        price_after=fraction(row.price_yes),
        tx_signature=signature,
        block_time=moment,
        timestamp=moment,
        created_at=moment,
        slot=row.slot,
        commitment=row.commitment,
        exact=_exact(row, "shares", "cost"),
    )


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's position by /api/positions."""

    id: str
    market_id: str
    on_chain_address: str
    question: str
    user: str
    user_wallet: str
    yes_shares: int
    no_shares: int
    shares_yes: int
    shares_no: int
    total_invested: int
    current_value: int
    unrealized_pnl: int
    trades_count: int
    has_claimed: bool
    claimed_amount: int
    state: str
    created_at: str | None
    updated_at: str | None
    commitment: str
    exact: dict[str, str]


def position(row: positions.Position) -> Position:
    """A position's row for programs: numbers."""
    user = base58_key(row.user)
    return Position(
        id=f"{row.market_id.hex()}:{user}",
        market_id=row.market_id.hex(),
        on_chain_address=base58_key(row.market_address),
        question=row.question,
        user=user,
        user_wallet=user,
        yes_shares=row.shares_yes,
        no_shares=row.shares_no,
        shares_yes=row.shares_yes,
        shares_no=row.shares_no,
        total_invested=row.total_invested,
        current_value=row.current_value,
        unrealized_pnl=row.unrealized_pnl,
        trades_count=row.trades_count,
        has_claimed=row.has_claimed,
        claimed_amount=row.claimed_amount,
        state=MarketState(row.state).name,
        created_at=chain_time(row.first_trade_at),
        updated_at=chain_time(row.last_trade_at),
        commitment=row.commitment,
        exact=_exact(
            row,
            "shares_yes",
            "shares_no",
            "total_invested",
            "current_value",
            "unrealized_pnl",
            "claimed_amount",
        ),
    )


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's position by /api/users/…/positions, as the frontend's portfolio reads it:
    amounts are integer strings, ``state`` is the program's number, ``roi`` is in percent.
    """

    market_id: str
    question: str
    category: str | None
    on_chain_address: str
    shares_yes: str
    shares_no: str
    total_invested: str
    current_value: str
    unrealized_pnl: str
    roi: float
    state: int
    has_claimed: bool
    claimed_amount: str
    final_outcome: bool | None


def holding(row: positions.Position) -> Holding:
    """A position's row for the portfolio page: texts."""
    invested = row.total_invested
    return Holding(
        market_id=row.market_id.hex(),
        question=row.question,
        category=row.category,
        on_chain_address=base58_key(row.market_address),
        shares_yes=str(row.shares_yes),
        shares_no=str(row.shares_no),
        total_invested=str(invested),
        current_value=str(row.current_value),
        unrealized_pnl=str(row.unrealized_pnl),
        roi=round(100 * row.unrealized_pnl / invested, 4) if invested else 0.0,
        state=row.state,
        has_claimed=row.has_claimed,
        claimed_amount=str(row.claimed_amount),
        final_outcome=row.final_outcome,
    )
