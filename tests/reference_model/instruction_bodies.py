"""The effects of the model's 18 instructions once their accounts have been checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.reference_model.account_frame import Frame, Refused, require, u32
from tests.reference_model.payment_bodies import buy, claim, sell, withdraw
from zmart_pipelines.program import calls, events, lmsr
from zmart_pipelines.program.accounts import (
    GlobalConfig,
    MarketAccount,
    MarketState,
    VoteKind,
    VoteRecord,
)
from zmart_pipelines.program.errors import ProgramError as E
from zmart_pipelines.program.lifecycle import (
    dispute_window_end,
    meets_threshold,
    share_bps,
)

S = MarketState
MARKET_LIFETIME: Final = 315_360_000  # ten years of 365 days, in seconds
NOBODY: Final = bytes(32)


def _within_lifetime(market: MarketAccount, now: int) -> bool:
    return market.created_at <= now <= market.created_at + MARKET_LIFETIME


def initialize(f: Frame, call: calls.InitializeGlobalConfig) -> None:
    """initialize_global_config: the first caller becomes admin, defaults are set."""
    config = GlobalConfig(
        admin=bytes(f.key["admin"]),
        backend_authority=call.backend_authority,
        protocol_fee_wallet=bytes(f.key["protocol_fee_wallet"]),
        protocol_fee_bps=300,
        resolver_reward_bps=200,
        liquidity_provider_fee_bps=500,
        proposal_approval_threshold=7000,
        dispute_success_threshold=6000,
        min_resolution_delay=86_400,
        dispute_period=259_200,
        min_resolver_reputation=8000,
        is_paused=False,
        reserved=bytes(64),
        bump=f.bumps["global_config"],
    )
    f.state["global_config"] = config
    f.events.append(
        events.GlobalConfigInitialized(
            config.admin, config.backend_authority, config.protocol_fee_bps, f.now
        )
    )


def update_config(f: Frame, call: calls.UpdateGlobalConfig) -> None:
    """update_global_config: five values always, two periods where given."""
    fees = call.protocol_fee_bps + call.resolver_reward_bps + call.liquidity_provider_fee_bps
    require(fees <= 10_000, E.InvalidFeeStructure)
    require(call.proposal_approval_threshold <= 10_000, E.InvalidThreshold)
    require(call.dispute_success_threshold <= 10_000, E.InvalidThreshold)
    for period in (call.min_resolution_delay, call.dispute_period):
        require(period is None or period > 0, E.InvalidTimeLimit)
    old = f.config()
    delay = old.min_resolution_delay
    window = old.dispute_period
    f.update(
        "global_config",
        protocol_fee_bps=call.protocol_fee_bps,
        resolver_reward_bps=call.resolver_reward_bps,
        liquidity_provider_fee_bps=call.liquidity_provider_fee_bps,
        proposal_approval_threshold=call.proposal_approval_threshold,
        dispute_success_threshold=call.dispute_success_threshold,
        min_resolution_delay=delay
        if call.min_resolution_delay is None
        else call.min_resolution_delay,
        dispute_period=window if call.dispute_period is None else call.dispute_period,
    )
    new = f.config()
    f.events.append(
        events.ConfigUpdated(
            new.protocol_fee_bps,
            new.resolver_reward_bps,
            new.liquidity_provider_fee_bps,
            new.proposal_approval_threshold,
            new.dispute_success_threshold,
            new.min_resolution_delay,
            new.dispute_period,
            f.now,
        )
    )


def pause(f: Frame, call: calls.EmergencyPause) -> None:
    """emergency_pause: a toggle."""
    f.update("global_config", is_paused=not f.config().is_paused)
    f.events.append(
        events.ProtocolPauseStatusChanged(f.config().is_paused, bytes(f.key["admin"]), f.now)
    )


def create_market(f: Frame, call: calls.CreateMarket) -> None:
    """create_market: liquidity is only a counter, b / 1000 shares per side are unowned."""
    require(not f.config().is_paused, E.ProtocolPaused)
    require(call.b_parameter > 0, E.InvalidBParameter)
    require(call.initial_liquidity > 0, E.InvalidLiquidity)
    creator = bytes(f.key["creator"])
    f.state["market"] = MarketAccount(
        market_id=call.market_id,
        creator=creator,
        state=S.PROPOSED,
        b_parameter=call.b_parameter,
        initial_liquidity=call.initial_liquidity,
        current_liquidity=call.initial_liquidity,
        shares_yes=call.b_parameter // 1000,
        shares_no=call.b_parameter // 1000,
        total_volume=0,
        created_at=f.now,
        approved_at=0,
        activated_at=0,
        resolution_proposed_at=0,
        resolved_at=0,
        finalized_at=0,
        resolver=NOBODY,
        proposed_outcome=None,
        final_outcome=None,
        ipfs_evidence_hash=call.ipfs_question_hash,
        dispute_initiated_at=0,
        dispute_initiator=NOBODY,
        accumulated_protocol_fees=0,
        accumulated_resolver_fees=0,
        accumulated_lp_fees=0,
        proposal_likes=0,
        proposal_dislikes=0,
        proposal_total_votes=0,
        resolution_agree=0,
        resolution_disagree=0,
        resolution_total_votes=0,
        dispute_agree=0,
        dispute_disagree=0,
        dispute_total_votes=0,
        was_disputed=False,
        is_cancelled=False,
        cancelled_at=None,
        is_locked=False,
        reserved=bytes(119),
        bump=f.bumps["market"],
    )
    f.events.append(
        events.MarketCreated(call.market_id, creator, call.b_parameter, int(S.PROPOSED), f.now)
    )


def _record_vote(f: Frame, kind: VoteKind, vote: bool) -> None:
    user = bytes(f.key["user"])
    f.state["vote_record"] = VoteRecord(
        bytes(f.key["market"]), user, kind, vote, f.now, f.bumps["vote_record"]
    )
    event = (
        events.ProposalVoteSubmitted if kind is VoteKind.PROPOSAL else events.DisputeVoteSubmitted
    )
    f.events.append(event(f.market().market_id, user, vote, f.now))


def vote_proposal(f: Frame, call: calls.SubmitProposalVote) -> None:
    """submit_proposal_vote: one record per wallet, the market is untouched."""
    _record_vote(f, VoteKind.PROPOSAL, call.vote)


def vote_dispute(f: Frame, call: calls.SubmitDisputeVote) -> None:
    """submit_dispute_vote: as for a proposal, under another type byte."""
    _record_vote(f, VoteKind.DISPUTE, call.vote)


def aggregate_proposal(f: Frame, call: calls.AggregateProposalVotes) -> None:
    """aggregate_proposal_votes: overwrites the counts; the state stays Proposed."""
    total = u32(call.final_likes + call.final_dislikes)
    f.update(
        "market",
        proposal_likes=call.final_likes,
        proposal_dislikes=call.final_dislikes,
        proposal_total_votes=total,
    )
    bps = share_bps(call.final_likes, total)
    f.events.append(
        events.ProposalAggregated(
            f.market().market_id,
            call.final_likes,
            call.final_dislikes,
            bps // 100,
            bps >= f.config().proposal_approval_threshold,
            f.now,
        )
    )


def approve(f: Frame, call: calls.ApproveProposal) -> None:
    """approve_proposal: needs recorded counts that reach the threshold."""
    market = f.market()
    require(market.state is S.PROPOSED, E.InvalidStateTransition)
    require(market.proposal_total_votes > 0, E.NoVotesRecorded)
    bps = share_bps(market.proposal_likes, market.proposal_total_votes)
    require(bps >= f.config().proposal_approval_threshold, E.InsufficientVotes)
    f.update("market", state=S.APPROVED, approved_at=f.now)
    f.events.append(events.ProposalApproved(market.market_id, bytes(f.key["admin"]), f.now))


def activate(f: Frame, call: calls.ActivateMarket) -> None:
    """activate_market: opens trading, moves nothing."""
    market = f.market()
    require(market.state is S.APPROVED, E.InvalidStateTransition)
    require(market.current_liquidity >= market.initial_liquidity, E.InsufficientLiquidity)
    f.update("market", state=S.ACTIVE, activated_at=f.now)
    f.events.append(
        events.MarketActivated(market.market_id, market.creator, market.initial_liquidity, f.now)
    )


def cancel(f: Frame, call: calls.CancelMarket) -> None:
    """cancel_market: only before trading; ``is_cancelled`` stays false."""
    market = f.market()
    require(market.state is not S.CANCELLED, E.MarketAlreadyCancelled)
    require(market.state in (S.PROPOSED, S.APPROVED), E.CannotCancelMarket)
    f.update("market", state=S.CANCELLED, cancelled_at=f.now)
    f.events.append(events.MarketCancelled(market.market_id, bytes(f.key["admin"]), f.now))


def resolve(f: Frame, call: calls.ResolveMarket) -> None:
    """resolve_market: anyone, any outcome, from the second after the activation."""
    market = f.market()
    require(market.proposed_outcome is None, E.AlreadyResolved)
    require(_within_lifetime(market, f.now), E.InvalidTimestamp)
    require(f.now > market.activated_at, E.InvalidTimestamp)
    resolver = bytes(f.key["resolver"])
    f.update(
        "market",
        state=S.RESOLVING,
        proposed_outcome=call.proposed_outcome,
        resolver=resolver,
        ipfs_evidence_hash=call.ipfs_evidence_hash,
        resolution_proposed_at=f.now,
        resolution_agree=0,
        resolution_disagree=0,
        resolution_total_votes=0,
    )
    f.events.append(
        events.MarketResolved(
            market.market_id, resolver, call.proposed_outcome, call.ipfs_evidence_hash, f.now
        )
    )


def dispute(f: Frame, call: calls.InitiateDispute) -> None:
    """initiate_dispute: strictly inside the window."""
    market = f.market()
    require(f.now > market.resolution_proposed_at, E.InvalidTimestamp)
    end = dispute_window_end(market.resolution_proposed_at, f.config().dispute_period)
    require(f.now < end, E.DisputePeriodEnded)
    initiator = bytes(f.key["initiator"])
    f.update(
        "market",
        state=S.DISPUTED,
        dispute_initiator=initiator,
        dispute_initiated_at=f.now,
        dispute_agree=0,
        dispute_disagree=0,
        dispute_total_votes=0,
    )
    f.events.append(
        events.DisputeInitiated(market.market_id, initiator, market.proposed_outcome, f.now)
    )


def aggregate_dispute(f: Frame, call: calls.AggregateDisputeVotes) -> None:
    """aggregate_dispute_votes: back to Resolving unchanged, or Finalized without an outcome."""
    total = u32(call.final_agrees + call.final_disagrees)
    threshold = f.config().dispute_success_threshold
    success = meets_threshold(call.final_agrees, total, threshold)
    f.update(
        "market",
        dispute_agree=call.final_agrees,
        dispute_disagree=call.final_disagrees,
        dispute_total_votes=total,
        was_disputed=True,
        state=S.RESOLVING if success else S.FINALIZED,
    )
    if not success:
        f.update("market", resolved_at=f.now)
    bps = share_bps(call.final_agrees, total)
    f.events.append(
        events.DisputeAggregated(
            f.market().market_id,
            call.final_agrees,
            call.final_disagrees,
            bps // 100,
            success,
            f.now,
        )
    )


def finalize(f: Frame, call: calls.FinalizeMarket) -> None:
    """finalize_market: after the window, or with a dispute's counts at any time."""
    market, config = f.market(), f.config()
    require(_within_lifetime(market, f.now), E.InvalidTimestamp)
    require(f.now > market.resolution_proposed_at, E.InvalidTimestamp)
    disputed = market.state is S.DISPUTED
    outcome = market.proposed_outcome
    if disputed:
        if call.dispute_agree is None or call.dispute_disagree is None:
            raise Refused(int(E.NoVotesRecorded))
        total = u32(call.dispute_agree + call.dispute_disagree)
        require(total > 0, E.NoVotesRecorded)
        f.update(
            "market",
            dispute_agree=call.dispute_agree,
            dispute_disagree=call.dispute_disagree,
            dispute_total_votes=total,
        )
        if meets_threshold(call.dispute_agree, total, config.dispute_success_threshold):
            outcome = None if outcome is None else not outcome
    else:
        end = dispute_window_end(market.resolution_proposed_at, config.dispute_period)
        require(f.now >= end, E.DisputePeriodNotEnded)
    require(
        lmsr.loss_is_bounded(
            market.b_parameter, market.initial_liquidity, market.current_liquidity
        ),
        E.BoundedLossExceeded,
    )
    f.update(
        "market",
        state=S.FINALIZED,
        final_outcome=outcome,
        was_disputed=disputed,
        finalized_at=f.now,
    )
    f.events.append(events.MarketFinalized(market.market_id, outcome, disputed, f.now))


BODIES: Final[Mapping[type[calls.Call], Callable[[Frame, Any], None]]] = {
    calls.InitializeGlobalConfig: initialize,
    calls.UpdateGlobalConfig: update_config,
    calls.EmergencyPause: pause,
    calls.CreateMarket: create_market,
    calls.SubmitProposalVote: vote_proposal,
    calls.SubmitDisputeVote: vote_dispute,
    calls.AggregateProposalVotes: aggregate_proposal,
    calls.AggregateDisputeVotes: aggregate_dispute,
    calls.ApproveProposal: approve,
    calls.ActivateMarket: activate,
    calls.CancelMarket: cancel,
    calls.BuyShares: buy,
    calls.SellShares: sell,
    calls.ResolveMarket: resolve,
    calls.InitiateDispute: dispute,
    calls.FinalizeMarket: finalize,
    calls.ClaimWinnings: claim,
    calls.WithdrawLiquidity: withdraw,
}
