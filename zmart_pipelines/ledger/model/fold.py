"""The projection as a fold of a market's events in the chain's order. Pure.

``apply`` gives every field of the program's MarketAccount and UserPosition from events, the
data of two instructions (see ``decode``), and the configuration in force. It never fails:
an event that cannot follow on the state before it (events may be missing, a webhook may
lie) is left out, or applied as far as it goes, and reported as a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from zmart_pipelines.ledger.model import trading
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.decode import hash_text
from zmart_pipelines.ledger.model.projection import (
    Fault,
    MarketRow,
    Misfit,
    PlacedEvent,
    Projection,
    VoteRow,
)
from zmart_pipelines.program import events as ev
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.calls import CreateMarket, FinalizeMarket
from zmart_pipelines.program.instructions import DecodeError, decode_instruction
from zmart_pipelines.program.lmsr import PRECISION

C = TypeVar("C", CreateMarket, FinalizeMarket)

_EVEN: Final = PRECISION // 2


def fold(events: Iterable[PlacedEvent], timeline: Timeline) -> Projection:
    """The projection of one market from all its events, in whatever order they come."""
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
                return  # told when the creation is read, which refolds the market
            projection.market = market = _create(placed, placed.event)
        else:
            handler = _HANDLERS.get(type(placed.event))
            if handler is None:
                raise Misfit("the market is created already")
            handler(projection, market, placed, placed.event, timeline)
    except Misfit as misfit:
        projection.faults.append(Fault(placed.place, f"{ev.event_name(placed.event)}: {misfit}"))
        if market is None:
            return
    # Of every event looked at, so that one that arrives before it later causes a refold.
    market.as_of_slot = placed.place.slot
    market.as_of_index = placed.place.index_in_block
    market.as_of_log = placed.place.log_index


def _call(placed: PlacedEvent, expected: type[C]) -> C:
    """The instruction that emitted the event, which must be of that type."""
    try:
        call = decode_instruction(placed.instruction or b"")
    except DecodeError as error:
        raise Misfit(str(error)) from error
    if not isinstance(call, expected):
        raise Misfit(f"emitted by {call.name}")
    return call


def _create(placed: PlacedEvent, event: ev.MarketCreated) -> MarketRow:
    call = _call(placed, CreateMarket)
    if event.state != MarketState.PROPOSED:
        raise Misfit(f"created in state {event.state}")
    place = placed.place
    unowned = event.b_parameter // 1000
    return MarketRow(
        market_id=event.market_id,
        address=placed.address,
        creator=event.creator,
        state=event.state,
        b_parameter=event.b_parameter,
        initial_liquidity=call.initial_liquidity,
        current_liquidity=call.initial_liquidity,
        shares_yes=unowned,
        shares_no=unowned,
        total_volume=0,
        created_at=event.timestamp,
        question_hash=hash_text(call.ipfs_question_hash),
        price_yes=_EVEN,
        as_of_slot=place.slot,
        as_of_index=place.index_in_block,
        as_of_log=place.log_index,
    )


def _vote(kind: str) -> Callable[..., None]:
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


def _aggregate_proposal(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.ProposalAggregated, _t: Timeline
) -> None:
    market.proposal_likes = event.likes
    market.proposal_dislikes = event.dislikes


def _approve(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.ProposalApproved, _t: Timeline
) -> None:
    market.state = MarketState.APPROVED.value
    market.approved_at = event.timestamp


def _activate(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.MarketActivated, _t: Timeline
) -> None:
    market.state = MarketState.ACTIVE.value
    market.activated_at = event.timestamp


def _cancel(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.MarketCancelled, _t: Timeline
) -> None:
    market.state = MarketState.CANCELLED.value
    market.cancelled_at = event.cancelled_at


def _resolve(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.MarketResolved, _t: Timeline
) -> None:
    market.state = MarketState.RESOLVING.value
    market.proposed_outcome = event.outcome
    market.resolver = event.resolver
    market.evidence_hash = hash_text(event.evidence_hash)
    market.resolution_proposed_at = event.timestamp


def _dispute(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.DisputeInitiated, _t: Timeline
) -> None:
    market.state = MarketState.DISPUTED.value
    market.dispute_initiator = event.initiator
    market.dispute_initiated_at = event.timestamp
    market.dispute_agree = 0
    market.dispute_disagree = 0


def _aggregate_dispute(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.DisputeAggregated, _t: Timeline
) -> None:
    # The program flips nothing here: a successful dispute goes back to Resolving with the
    # outcome that was disputed, a failed one ends Finalized without an outcome.
    market.dispute_agree = event.agrees
    market.dispute_disagree = event.disagrees
    market.was_disputed = True
    if event.dispute_succeeded:
        market.state = MarketState.RESOLVING.value
    else:
        market.state = MarketState.FINALIZED.value
        market.resolved_at = event.timestamp


def _finalize(
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
    ev.ProposalVoteSubmitted: _vote("proposal"),
    ev.ProposalAggregated: _aggregate_proposal,
    ev.ProposalApproved: _approve,
    ev.MarketActivated: _activate,
    ev.MarketCancelled: _cancel,
    ev.SharesBought: trading.bought,
    ev.SharesSold: trading.sold,
    ev.MarketResolved: _resolve,
    ev.DisputeInitiated: _dispute,
    ev.DisputeVoteSubmitted: _vote("dispute"),
    ev.DisputeAggregated: _aggregate_dispute,
    ev.MarketFinalized: _finalize,
    ev.WinningsClaimed: trading.claimed,
    ev.LiquidityWithdrawn: trading.withdrawn,
}
