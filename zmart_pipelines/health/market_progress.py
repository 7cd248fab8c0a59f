"""What a market waits for, who must act, and until when. Pure.

Times are chain seconds, shares basis points rounded down, as in :mod:`program.lifecycle`. Where the
backend acts, its rules are those of :mod:`submissions.policies`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from zmart_pipelines.client_schemas.market_status import Actor
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lifecycle import dispute_window_end, meets_threshold, share_bps
from zmart_pipelines.store.queries.configuration import VotingConfiguration
from zmart_pipelines.submissions.policies import MAX_VOTES, Rules, vote_began
from zmart_pipelines.submissions.statuses import Action
from zmart_pipelines.voting.ballot import Kind


class VoteStanding(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of the open vote against what it needs.

    Attributes:
        ballots: Wallets that voted.
        minimum_ballots: Ballots without which nothing is submitted.
        is_frozen: The counts can no longer change.
        reopened_at: Chain second at which operators opened this round; None in round 0.
    """

    kind: Kind
    round: int
    votes_for: int
    votes_against: int
    ballots: int
    minimum_ballots: int
    threshold_bps: int
    is_frozen: bool
    reopened_at: int | None = None

    @property
    def is_oversized(self) -> bool:
        """Whether the votes are more than the chain's u32 holds."""
        return self.votes_for + self.votes_against > MAX_VOTES

    @property
    def share_bps(self) -> int:
        """The share of the votes for, in basis points."""
        return share_bps(self.votes_for, self.votes_for + self.votes_against)

    @property
    def has_enough_ballots(self) -> bool:
        """Whether the minimum of ballots is there, or no longer matters."""
        return self.is_frozen or self.ballots >= self.minimum_ballots

    @property
    def meets_threshold(self) -> bool:
        """Whether the share reaches the threshold."""
        total = self.votes_for + self.votes_against
        return meets_threshold(self.votes_for, total, self.threshold_bps)


class MarketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger and the drafts know of a market.

    Attributes:
        is_recorded: The program has recorded the frozen counts of the proposal.
        ends_at: When the question is decided; None where its draft names no time.
        vote: Of the vote that is open in this state; None in other states.
    """

    state: MarketState
    resolution_proposed_at: int = 0
    dispute_initiated_at: int = 0
    was_disputed: bool = False
    is_recorded: bool = False
    ends_at: int | None = None
    vote: VoteStanding | None = None


class Progress(msgspec.Struct, frozen=True):
    """How a market goes on.

    Attributes:
        waits_for: In words.
        actor: Who must act; None where no further act is possible.
        deadline: The chain second at which that changes by itself, if one is known.
        action: The backend's next transaction; None where it sends none.
    """

    waits_for: str
    actor: Actor | None
    deadline: int | None = None
    action: Action | None = None


_OVERSIZED: Final = Progress("an operator: its votes do not fit the chain's u32", "operators")


def progress(
    market: MarketFacts, configuration: VotingConfiguration, rules: Rules, chain_time: int
) -> Progress:
    """Return what the market waits for.

    Args:
        market: The market.
        configuration: The program's configuration in force.
        rules: The backend's settings.
        chain_time: The chain's clock, Unix seconds.
    """
    match market.state:
        case MarketState.PROPOSED:
            return _proposed(market, rules)
        case MarketState.APPROVED:
            if rules.activates:
                return Progress("its activation", "pipelines", action="activate_market")
            return Progress("its creator or the admin to activate it", "creator")
        case MarketState.ACTIVE:
            return _active(market.ends_at, chain_time)
        case MarketState.RESOLVING:
            return _resolving(market, configuration, rules, chain_time)
        case MarketState.DISPUTED:
            return _disputed(market, configuration, rules, chain_time)
        case MarketState.FINALIZED:
            return Progress("the winners to claim, and the creator to withdraw", "winners")
        case MarketState.CANCELLED:
            return Progress("nothing: it was cancelled", None)


def _proposed(market: MarketFacts, rules: Rules) -> Progress:
    vote = market.vote
    if vote is None:
        return Progress("votes on its proposal", "voters")
    if not vote.has_enough_ballots:
        return Progress(f"votes: {vote.ballots} of {vote.minimum_ballots} ballots", "voters")
    if market.is_recorded:
        if not vote.meets_threshold:
            return Progress("an operator: the threshold was raised after its vote", "operators")
        if not rules.can_approve:
            return Progress("the admin to sign its approval", "operators")
        return Progress("its approval", "pipelines", action="approve_proposal")
    if not vote.meets_threshold and not vote.is_frozen:
        needed = f"{vote.share_bps} of {vote.threshold_bps} basis points in favour"
        return Progress(f"votes: {needed}", "voters")
    if vote.is_oversized:
        return _OVERSIZED
    action: Action = "aggregate_proposal_votes"
    return Progress("its counts to be recorded on chain", "pipelines", action=action)


def _active(ends_at: int | None, chain_time: int) -> Progress:
    if ends_at is None:
        return Progress("its resolution; its end time is not known", "operators")
    if chain_time < ends_at:
        return Progress("its end time, while it is traded", "traders", deadline=ends_at)
    return Progress("its resolution: the end time has passed", "operators")


def _resolving(
    market: MarketFacts, configuration: VotingConfiguration, rules: Rules, chain_time: int
) -> Progress:
    if market.was_disputed:
        return Progress("an operator: it is resolving again after a dispute", "operators")
    end = dispute_window_end(market.resolution_proposed_at, configuration.dispute_period)
    due = end + rules.window_margin_seconds
    if chain_time < due:
        return Progress("the end of its dispute window", "traders", due, "finalize_market")
    return Progress("its finalization", "pipelines", action="finalize_market")


def _disputed(
    market: MarketFacts, configuration: VotingConfiguration, rules: Rules, chain_time: int
) -> Progress:
    period = rules.dispute_voting_seconds or configuration.dispute_period
    vote = market.vote
    began = vote_began(market.dispute_initiated_at, None if vote is None else vote.reopened_at)
    due = began + period + rules.window_margin_seconds
    if chain_time < due:
        return Progress("the end of its dispute vote", "voters", due, "finalize_market")
    if vote is not None and vote.is_oversized:
        return _OVERSIZED
    if vote is None or vote.votes_for + vote.votes_against == 0 or not vote.has_enough_ballots:
        return Progress("an operator: its dispute vote ended without enough ballots", "operators")
    return Progress("its finalization", "pipelines", action="finalize_market")
