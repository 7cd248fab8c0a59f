"""The result of folding: the rows of schema ``market``, and their hash. Pure.

The fields are the columns of ``store.tables.market``, which documents meaning and units.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from zmart_pipelines.ledger.model.config_timeline import Place
from zmart_pipelines.program.events import Event


class PlacedEvent(msgspec.Struct, frozen=True, gc=False):
    """A decoded event of a market at its place.

    Attributes:
        address: address of the market's account.
        instruction: data of the instruction that emitted it, if folding needs it.
    """

    place: Place
    event: Event
    address: bytes
    instruction: bytes | None = None


class InapplicableEvent(Exception):
    """The event cannot be applied to the state; nothing of it was applied."""


class MarketRow(msgspec.Struct, gc=False):
    """``market.markets``, without ``commitment`` and ``updated_at``.

    Those two do not follow from the order of the events alone.
    """

    market_id: bytes
    address: bytes
    creator: bytes
    state: int
    b_parameter: int
    initial_liquidity: int
    current_liquidity: int
    shares_yes: int
    shares_no: int
    total_volume: int
    created_at: int
    question_hash: str | None
    price_yes: int
    as_of_slot: int
    as_of_index: int
    as_of_log: int
    approved_at: int = 0
    activated_at: int = 0
    resolution_proposed_at: int = 0
    resolved_at: int = 0
    finalized_at: int = 0
    resolver: bytes | None = None
    proposed_outcome: bool | None = None
    final_outcome: bool | None = None
    evidence_hash: str | None = None
    dispute_initiated_at: int = 0
    dispute_initiator: bytes | None = None
    accumulated_resolver_fees: int = 0
    accumulated_lp_fees: int = 0
    proposal_likes: int = 0
    proposal_dislikes: int = 0
    dispute_agree: int = 0
    dispute_disagree: int = 0
    was_disputed: bool = False
    cancelled_at: int | None = None
    trades_count: int = 0


class PositionRow(msgspec.Struct, gc=False):
    """``market.positions``."""

    market_id: bytes
    user: bytes
    first_trade_at: int
    last_trade_at: int
    as_of_slot: int
    shares_yes: int = 0
    shares_no: int = 0
    total_invested: int = 0
    trades_count: int = 0
    has_claimed: bool = False
    claimed_amount: int = 0


class TradeRow(msgspec.Struct, frozen=True, gc=False):
    """``market.trades``, without the commitment."""

    signature: bytes
    log_index: int
    market_id: bytes
    user: bytes
    trade_type: str
    outcome: bool
    shares: int
    cost: int
    price_yes: int
    traded_at: int
    slot: int
    index_in_block: int


class ClaimRow(msgspec.Struct, frozen=True, gc=False):
    """``market.claims``, without the commitment."""

    signature: bytes
    log_index: int
    market_id: bytes
    user: bytes
    outcome: bool | None
    amount: int
    claimed_at: int
    slot: int


class VoteRow(msgspec.Struct, frozen=True, gc=False):
    """``market.chain_votes``, without the commitment."""

    market_id: bytes
    kind: str
    wallet: bytes
    choice: bool
    voted_at: int
    signature: bytes
    slot: int


class WithdrawalRow(msgspec.Struct, frozen=True, gc=False):
    """``market.withdrawals``."""

    signature: bytes
    log_index: int
    market_id: bytes
    creator: bytes
    amount: int
    withdrawn_at: int
    slot: int


class FoldFault(msgspec.Struct, frozen=True):
    """An event that does not match the state before it, as far as the ledger knows that state."""

    place: Place
    reason: str


class Projection(msgspec.Struct):
    """One folded market. ``market`` is None until its creation is in the ledger.

    After folding forward from stored rows, the lists hold only what the new events added.
    """

    market: MarketRow | None = None
    positions: dict[bytes, PositionRow] = {}
    trades: list[TradeRow] = []
    claims: list[ClaimRow] = []
    votes: dict[tuple[str, bytes], VoteRow] = {}
    withdrawals: list[WithdrawalRow] = []
    faults: list[FoldFault] = []


def state_hash(projection: Projection) -> str:
    """Return the SHA-256 of the projection (faults excluded), in hex, in any order of rows."""
    content = (
        projection.market,
        sorted(projection.positions.values(), key=lambda row: row.user),
        sorted(projection.trades, key=lambda row: (row.signature, row.log_index)),
        sorted(projection.claims, key=lambda row: (row.signature, row.log_index)),
        sorted(projection.votes.values(), key=lambda row: (row.kind, row.wallet)),
        sorted(projection.withdrawals, key=lambda row: (row.signature, row.log_index)),
    )
    return sha256(msgspec.msgpack.encode(content)).hexdigest()
