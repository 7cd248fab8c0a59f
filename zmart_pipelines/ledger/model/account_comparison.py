"""Comparing folded rows with decoded accounts, field by field. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.ledger.model.decode import hash_bytes
from zmart_pipelines.ledger.model.projection import MarketRow, PositionRow
from zmart_pipelines.program.accounts import MarketAccount, UserPosition

_NO_KEY: Final = bytes(32)
# Fields that follow from the address and the allocation, not from any event.
_UNCOMPARED: Final = {"reserved", "bump"}


class FieldDifference(msgspec.Struct, frozen=True):
    """One field that differs.

    Attributes:
        user: the position's holder; None for a field of the market.
        folded: the row's value as text; None if there is no row.
        chain: the account's value as text; None if there is no account.
    """

    market_id: bytes
    user: bytes | None
    field: str
    folded: str | None
    chain: str | None


class ComparedField(msgspec.Struct, frozen=True):
    """One field of an account beside the folded one.

    Attributes:
        folded: the row's value as text; None if there is no row.
        chain: the account's value as text; None if there is no account.
    """

    field: str
    folded: str | None
    chain: str | None
    agrees: bool


def market_fields(row: MarketRow) -> dict[str, object]:
    """Return the account's fields as folded, by the program's names."""
    return {
        "market_id": row.market_id,
        "creator": row.creator,
        "state": row.state,
        "b_parameter": row.b_parameter,
        "initial_liquidity": row.initial_liquidity,
        "current_liquidity": row.current_liquidity,
        "shares_yes": row.shares_yes,
        "shares_no": row.shares_no,
        "total_volume": row.total_volume,
        "created_at": row.created_at,
        "approved_at": row.approved_at,
        "activated_at": row.activated_at,
        "resolution_proposed_at": row.resolution_proposed_at,
        "resolved_at": row.resolved_at,
        "finalized_at": row.finalized_at,
        "resolver": row.resolver or _NO_KEY,
        "proposed_outcome": row.proposed_outcome,
        "final_outcome": row.final_outcome,
        # Until the resolution overwrites it, the field holds the question's hash.
        "ipfs_evidence_hash": hash_bytes(row.evidence_hash or row.question_hash or ""),
        "dispute_initiated_at": row.dispute_initiated_at,
        "dispute_initiator": row.dispute_initiator or _NO_KEY,
        "accumulated_protocol_fees": 0,
        "accumulated_resolver_fees": row.accumulated_resolver_fees,
        "accumulated_lp_fees": row.accumulated_lp_fees,
        "proposal_likes": row.proposal_likes,
        "proposal_dislikes": row.proposal_dislikes,
        "proposal_total_votes": row.proposal_likes + row.proposal_dislikes,
        "resolution_agree": 0,
        "resolution_disagree": 0,
        "resolution_total_votes": 0,
        "dispute_agree": row.dispute_agree,
        "dispute_disagree": row.dispute_disagree,
        "dispute_total_votes": row.dispute_agree + row.dispute_disagree,
        "was_disputed": row.was_disputed,
        "is_cancelled": False,
        "cancelled_at": row.cancelled_at,
        "is_locked": False,
    }


def position_fields(row: PositionRow, market: bytes) -> dict[str, object]:
    """Return the account's fields as folded, by the program's names.

    Args:
        market: the market's address.
    """
    return {
        "market": market,
        "user": row.user,
        "shares_yes": row.shares_yes,
        "shares_no": row.shares_no,
        "total_invested": row.total_invested,
        "trades_count": row.trades_count,
        "last_trade_at": row.last_trade_at,
        "has_claimed": row.has_claimed,
        "claimed_amount": row.claimed_amount,
    }


def compare_market(
    market_id: bytes, row: MarketRow | None, account: MarketAccount | None
) -> list[FieldDifference]:
    """Return the differing fields; if one side is missing, the field ``account`` differs."""
    if row is None or account is None:
        return _presence_difference(market_id, None, row is not None, account is not None)
    return _field_differences(market_id, None, market_fields(row), msgspec.structs.asdict(account))


def compare_position(
    market_id: bytes,
    user: bytes,
    row: PositionRow | None,
    account: UserPosition | None,
    market: bytes,
) -> list[FieldDifference]:
    """Return the differing fields; if one side is missing, the field ``account`` differs.

    Args:
        market: the market's address.
    """
    if row is None or account is None:
        return _presence_difference(market_id, user, row is not None, account is not None)
    folded = position_fields(row, market)
    return _field_differences(market_id, user, folded, msgspec.structs.asdict(account))


def _presence_difference(
    market_id: bytes, user: bytes | None, folded: bool, chain: bool
) -> list[FieldDifference]:
    if folded == chain:
        return []
    sides = ("present" if folded else None, "present" if chain else None)
    return [FieldDifference(market_id, user, "account", *sides)]


def compared_market(row: MarketRow | None, account: MarketAccount | None) -> list[ComparedField]:
    """Return every field of a market on both sides, by the program's names."""
    return _compared(None if row is None else market_fields(row), account)


def compared_position(
    row: PositionRow | None, account: UserPosition | None, market: bytes
) -> list[ComparedField]:
    """Return every field of a position on both sides, by the program's names.

    Args:
        market: the market's address.
    """
    return _compared(None if row is None else position_fields(row, market), account)


def _compared(
    folded: Mapping[str, object] | None, account: MarketAccount | UserPosition | None
) -> list[ComparedField]:
    chain = None if account is None else msgspec.structs.asdict(account)
    return [
        ComparedField(
            field=name,
            folded=None if folded is None else _text(folded.get(name)),
            chain=None if chain is None else _text(chain[name]),
            agrees=folded is not None and chain is not None and folded.get(name) == chain[name],
        )
        for name in (chain or folded or ())
        if name not in _UNCOMPARED
    ]


def _field_differences(
    market_id: bytes,
    user: bytes | None,
    folded: Mapping[str, object],
    chain: Mapping[str, object],
) -> list[FieldDifference]:
    return [
        FieldDifference(market_id, user, name, _text(folded.get(name)), _text(value))
        for name, value in chain.items()
        if name not in _UNCOMPARED and folded.get(name) != value
    ]


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return str(Pubkey(value)) if len(value) == 32 else value.hex()
    return "none" if value is None else str(int(value) if isinstance(value, int) else value)
