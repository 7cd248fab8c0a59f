"""A market as clients read it."""

from __future__ import annotations

import msgspec

from api.identifiers import base58_key
from api.schemas import common
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import markets


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


def market(row: markets.Market) -> Market:
    """A market's row as clients read it."""
    state = MarketState(row.state).name
    creator = base58_key(row.creator)
    ends_at = common.iso(row.ends_at) if row.ends_at else None
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
        resolver_wallet=common.key_or_none(row.resolver),
        dispute_initiator=common.key_or_none(row.dispute_initiator),
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
        price_no=common.PRICE_SCALE - row.price_yes,
        current_price_yes=common.fraction(row.price_yes),
        current_price_no=common.fraction(common.PRICE_SCALE - row.price_yes),
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
        created_at=common.chain_time(row.created_at),
        approved_at=common.chain_time(row.approved_at),
        activated_at=common.chain_time(row.activated_at),
        resolution_proposed_at=common.chain_time(row.resolution_proposed_at),
        dispute_initiated_at=common.chain_time(row.dispute_initiated_at),
        resolved_at=common.chain_time(row.resolved_at),
        finalized_at=common.chain_time(row.finalized_at),
        cancelled_at=common.chain_time(row.cancelled_at),
        ends_at=ends_at,
        end_date=ends_at,
        updated_at=common.iso(row.updated_at),
        commitment=row.commitment,
        as_of_slot=row.as_of_slot,
        exact=common.exact(
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
