"""The projection as a fold of a market's events in the chain's order. Pure.

``apply`` derives every field of the program's MarketAccount and UserPosition from events, the
data of two instructions (see ``decode``), and the configuration in force. It never fails: an
event that does not match the state before it (events may be missing, a webhook may report
false ones) is left out, or applied as far as possible, and recorded as a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from zmart_pipelines.ledger.model import trading
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.decode import hash_text
from zmart_pipelines.ledger.model.projection import (
    FoldFault,
    InapplicableEvent,
    MarketRow,
    PlacedEvent,
    Projection,
    VoteRow,
)
from zmart_pipelines.program import events as ev
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.calls import CreateMarket, FinalizeMarket, decode_instruction
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.lmsr import PRECISION

C = TypeVar("C", CreateMarket, FinalizeMarket)

_EVEN_PRICE: Final = PRECISION // 2


def fold(events: Iterable[PlacedEvent], timeline: Timeline) -> Projection:
    """Fold one market from all its events, given in any order."""
    projection = Projection()
    for event in sorted(events, key=lambda placed: placed.place):
        apply(projection, event, timeline)
    return projection


def apply(projection: Projection, placed: PlacedEvent, timeline: Timeline) -> None:
    """Fold one event, the next in the chain's order, into the projection."""
    market = projection.market
    try:
        if market is None:
            if not isinstance(placed.event, ev.MarketCreated):
                return  # applied when the creation is read, which refolds the market
            projection.market = market = _apply_creation(placed, placed.event)
        else:
            handler = _HANDLERS.get(type(placed.event))
            if handler is None:
                raise InapplicableEvent("the market exists already")
            handler(projection, market, placed, placed.event, timeline)
    except InapplicableEvent as inapplicable:
        projection.faults.append(
            FoldFault(placed.place, f"{ev.event_name(placed.event)}: {inapplicable}")
        )
        if market is None:
            return
    # Also for inapplicable events, so that an earlier event that arrives later causes a refold.
    market.as_of_slot = placed.place.slot
    market.as_of_index = placed.place.index_in_block
    market.as_of_log = placed.place.log_index


def _call(placed: PlacedEvent, expected: type[C]) -> C:
    """Decode the instruction that emitted the event, which must be of that type."""
    try:
        call = decode_instruction(placed.instruction or b"")
    except DecodeError as error:
        raise InapplicableEvent(str(error)) from error
    if not isinstance(call, expected):
        raise InapplicableEvent(f"emitted by {call.name}")
    return call


def _apply_creation(placed: PlacedEvent, event: ev.MarketCreated) -> MarketRow:
    call = _call(placed, CreateMarket)
    if event.state != MarketState.PROPOSED:
        raise InapplicableEvent(f"created in state {event.state}")
    place = placed.place
    initial_shares = event.b_parameter // 1000
    return MarketRow(
        market_id=event.market_id,
        address=placed.address,
        creator=event.creator,
        state=event.state,
        b_parameter=event.b_parameter,
        initial_liquidity=call.initial_liquidity,
        current_liquidity=call.initial_liquidity,
        shares_yes=initial_shares,
        shares_no=initial_shares,
        total_volume=0,
        created_at=event.timestamp,
        question_hash=hash_text(call.ipfs_question_hash),
        price_yes=_EVEN_PRICE,
        as_of_slot=place.slot,
        as_of_index=place.index_in_block,
        as_of_log=place.log_index,
    )


def _vote_handler(kind: str) -> Callable[..., None]:
    def vote(
        projection: Projection,
        market: MarketRow,
        placed: PlacedEvent,
        event: ev.ProposalVoteSubmitted | ev.DisputeVoteSubmitted,
        _timeline: Timeline,
    ) -> None:
        row = VoteRow(
            market_id=market.market_id,
            kind=kind,
            wallet=event.user,
            choice=event.vote,
            voted_at=event.timestamp,
            signature=placed.place.signature,
            slot=placed.place.slot,
        )
        projection.votes.setdefault((kind, event.user), row)

    return vote


def _apply_proposal_tally(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.ProposalAggregated, _t: Timeline
) -> None:
    market.proposal_likes = event.likes
    market.proposal_dislikes = event.dislikes


def _apply_approval(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.ProposalApproved, _t: Timeline
) -> None:
    market.state = MarketState.APPROVED.value
    market.approved_at = event.timestamp


def _apply_activation(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.MarketActivated, _t: Timeline
) -> None:
    market.state = MarketState.ACTIVE.value
    market.activated_at = event.timestamp


def _apply_cancellation(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.MarketCancelled, _t: Timeline
) -> None:
    market.state = MarketState.CANCELLED.value
    market.cancelled_at = event.cancelled_at


def _apply_resolution(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.MarketResolved, _t: Timeline
) -> None:
    market.state = MarketState.RESOLVING.value
    market.proposed_outcome = event.outcome
    market.resolver = event.resolver
    market.evidence_hash = hash_text(event.evidence_hash)
    market.resolution_proposed_at = event.timestamp


def _apply_dispute(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.DisputeInitiated, _t: Timeline
) -> None:
    market.state = MarketState.DISPUTED.value
    market.dispute_initiator = event.initiator
    market.dispute_initiated_at = event.timestamp
    market.dispute_agree = 0
    market.dispute_disagree = 0


def _apply_dispute_tally(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.DisputeAggregated, _t: Timeline
) -> None:
    # The program does not flip the outcome here: a successful dispute returns to Resolving with
    # the disputed outcome, a failed one ends in Finalized without an outcome.
    market.dispute_agree = event.agrees
    market.dispute_disagree = event.disagrees
    market.was_disputed = True
    if event.dispute_succeeded:
        market.state = MarketState.RESOLVING.value
    else:
        market.state = MarketState.FINALIZED.value
        market.resolved_at = event.timestamp


def _apply_finalization(
    _p: Projection, market: MarketRow, placed: PlacedEvent, event: ev.MarketFinalized, _t: Timeline
) -> None:
    if event.was_disputed:
        call = _call(placed, FinalizeMarket)
        market.dispute_agree = call.dispute_agree or 0
        market.dispute_disagree = call.dispute_disagree or 0
    market.state = MarketState.FINALIZED.value
    market.final_outcome = event.final_outcome
    market.was_disputed = event.was_disputed
    market.finalized_at = event.timestamp


_HANDLERS: Final[dict[type[Any], Callable[..., None]]] = {
    ev.ProposalVoteSubmitted: _vote_handler("proposal"),
    ev.ProposalAggregated: _apply_proposal_tally,
    ev.ProposalApproved: _apply_approval,
    ev.MarketActivated: _apply_activation,
    ev.MarketCancelled: _apply_cancellation,
    ev.SharesBought: trading.apply_buy,
    ev.SharesSold: trading.apply_sale,
    ev.MarketResolved: _apply_resolution,
    ev.DisputeInitiated: _apply_dispute,
    ev.DisputeVoteSubmitted: _vote_handler("dispute"),
    ev.DisputeAggregated: _apply_dispute_tally,
    ev.MarketFinalized: _apply_finalization,
    ev.WinningsClaimed: trading.apply_claim,
    ev.LiquidityWithdrawn: trading.apply_withdrawal,
}
