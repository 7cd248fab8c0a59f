"""A market as clients read it."""

from __future__ import annotations

from typing import Any

from zmart_pipelines.client_schemas.formats import (
    PRICE_SCALE,
    ExactIntegers,
    LargeInt,
    StateName,
    base58_key,
    base58_key_or_none,
    chain_time,
    iso8601,
    price_fraction,
    state_name,
)
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import markets


class ProjectedMarket(ExactIntegers, frozen=True, kw_only=True):
    """A market's state on chain: what the ledger alone knows of it.

    Amounts are lamports; shares, `b_parameter` and prices have 9 decimals. `state` and
    `status` are the program's word, `state_code` its number. `liquidity_parameter`,
    `total_yes_shares`, `total_no_shares` and `creator` are older names of the same values.
    `proposal_likes` and `proposal_dislikes` while the state is PROPOSED, `dispute_agree` and
    `dispute_disagree` while it is DISPUTED are the running counts of the open vote, signed ballots
    included; otherwise they are what the program recorded.
    """

    id: str
    on_chain_address: str
    state: StateName
    status: StateName
    state_code: int
    creator_wallet: str
    creator: str
    resolver_wallet: str | None
    dispute_initiator: str | None
    b_parameter: LargeInt
    liquidity_parameter: LargeInt
    initial_liquidity: LargeInt
    current_liquidity: LargeInt
    shares_yes: LargeInt
    shares_no: LargeInt
    total_yes_shares: LargeInt
    total_no_shares: LargeInt
    total_volume: LargeInt
    trades_count: int
    price_yes: int
    price_no: int
    current_price_yes: float
    current_price_no: float
    accumulated_resolver_fees: LargeInt
    accumulated_lp_fees: LargeInt
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
    commitment: str
    as_of_slot: int


class Market(ProjectedMarket, frozen=True, kw_only=True):
    """A market with the question that its creator stored.

    `end_date` is an older name of `ends_at`.
    """

    question: str
    description: str | None
    category: str | None
    tags: list[str]
    ends_at: str | None
    end_date: str | None
    updated_at: str


def projected_market(row: markets.ProjectedMarket) -> ProjectedMarket:
    """Return a market's projection as clients read it."""
    return ProjectedMarket(**_projected_fields(row))


def market(row: markets.Market) -> Market:
    """Return a market with its question as clients read it."""
    ends_at = iso8601(row.ends_at) if row.ends_at else None
    return Market(
        **_projected_fields(row),
        question=row.question,
        description=row.description,
        category=row.category,
        tags=row.tags or [],
        ends_at=ends_at,
        end_date=ends_at,
        updated_at=iso8601(row.updated_at),
    )


def _projected_fields(row: markets.ProjectedMarket) -> dict[str, Any]:
    state = state_name(row.state)
    creator = base58_key(row.creator)
    price_no = PRICE_SCALE - row.price_yes
    return {
        "id": row.market_id.hex(),
        "on_chain_address": base58_key(row.address),
        "state": state,
        "status": state,
        "state_code": row.state,
        "creator_wallet": creator,
        "creator": creator,
        "resolver_wallet": base58_key_or_none(row.resolver),
        "dispute_initiator": base58_key_or_none(row.dispute_initiator),
        "b_parameter": row.b_parameter,
        "liquidity_parameter": row.b_parameter,
        "initial_liquidity": row.initial_liquidity,
        "current_liquidity": row.current_liquidity,
        "shares_yes": row.shares_yes,
        "shares_no": row.shares_no,
        "total_yes_shares": row.shares_yes,
        "total_no_shares": row.shares_no,
        "total_volume": row.total_volume,
        "trades_count": row.trades_count,
        "price_yes": row.price_yes,
        "price_no": price_no,
        "current_price_yes": price_fraction(row.price_yes),
        "current_price_no": price_fraction(price_no),
        "accumulated_resolver_fees": row.accumulated_resolver_fees,
        "accumulated_lp_fees": row.accumulated_lp_fees,
        "proposal_likes": row.proposal_likes,
        "proposal_dislikes": row.proposal_dislikes,
        "dispute_agree": row.dispute_agree,
        "dispute_disagree": row.dispute_disagree,
        "was_disputed": row.was_disputed,
        "is_cancelled": row.state == MarketState.CANCELLED,
        "proposed_outcome": row.proposed_outcome,
        "final_outcome": row.final_outcome,
        "ipfs_question_hash": row.question_hash,
        "ipfs_evidence_hash": row.evidence_hash,
        "created_at": chain_time(row.created_at),
        "approved_at": chain_time(row.approved_at),
        "activated_at": chain_time(row.activated_at),
        "resolution_proposed_at": chain_time(row.resolution_proposed_at),
        "dispute_initiated_at": chain_time(row.dispute_initiated_at),
        "resolved_at": chain_time(row.resolved_at),
        "finalized_at": chain_time(row.finalized_at),
        "cancelled_at": chain_time(row.cancelled_at),
        "commitment": row.commitment,
        "as_of_slot": row.as_of_slot,
    }
