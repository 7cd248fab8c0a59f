"""The next action of the backend on a market, decided from its account. Pure.

The account, the configuration and the chain's clock are read at finalized. Shares are floored
basis points. A window has ended when the chain's clock has passed its end plus a margin. The
table of decisions is in ``docs/ballots.md``; each row of it is a test.
"""

from __future__ import annotations

from typing import Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, MarketState
from zmart_pipelines.program.lifecycle import dispute_window_end, meets_threshold, share_bps
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions.statuses import Action


class Rules(msgspec.Struct, frozen=True):
    """The settings that decisions depend on.

    Attributes:
        min_proposal_votes: Ballots that a proposal needs.
        min_dispute_votes: Ballots that a dispute needs.
        dispute_voting_seconds: Length of a dispute vote; None: the chain's ``dispute_period``.
        window_margin_seconds: Waited after the end of a window or vote.
        proposal_review_seconds: Age at which a proposal that is not approved needs a review.
        can_approve: The admin's key is configured.
        activates: The admin's key also activates approved markets.
        resolvers: Addresses whose resolutions raise no alert, besides our own resolver's.
    """

    min_proposal_votes: int = 10
    min_dispute_votes: int = 1
    dispute_voting_seconds: int | None = None
    window_margin_seconds: int = 2
    proposal_review_seconds: int = 86_400
    can_approve: bool = False
    activates: bool = False
    resolvers: frozenset[bytes] = frozenset()


class Count(msgspec.Struct, frozen=True):
    """A tally as a decision needs it.

    Attributes:
        votes_for: Sum of weights.
        votes_against: Sum of weights.
        frozen: The counts can no longer change.
        round: The round of the vote.
        ballots: Wallets that voted; None where each wallet has one vote.
        reopened_at: Chain second at which operators opened this round; None in round 0.
    """

    votes_for: int
    votes_against: int
    frozen: bool = False
    round: int = 0
    ballots: int | None = None
    reopened_at: int | None = None

    @property
    def total(self) -> int:
        """All votes, by their weights."""
        return self.votes_for + self.votes_against

    @property
    def wallets(self) -> int:
        """The wallets that voted."""
        return self.total if self.ballots is None else self.ballots


class OffChainFacts(msgspec.Struct, frozen=True):
    """What the tables know of a market and its account does not say.

    Attributes:
        ends_at: When the question is decided, Unix seconds; None where its draft names no time.
        resolved_by_us: The proposed outcome and its evidence are those of our own intent.
    """

    ends_at: int | None = None
    resolved_by_us: bool = False


_NO_FACTS = OffChainFacts()


class Aggregate(msgspec.Struct, frozen=True, tag=True):
    """Freeze the proposal's tally and submit its counts; then approve with the admin's key."""


class Approve(msgspec.Struct, frozen=True, tag=True):
    """The counts are on chain and sufficient: send approve_proposal with the admin's key."""


class Activate(msgspec.Struct, frozen=True, tag=True):
    """Open trading: send activate_market with the admin's key."""


class Finalize(msgspec.Struct, frozen=True, tag=True):
    """Send finalize_market: without counts, or with those of the frozen dispute tally."""

    disputed: bool


class Wait(msgspec.Struct, frozen=True, tag=True):
    """No action now. ``until``: chain second at which that changes by itself, if known."""

    reason: str
    until: int | None = None


class Alert(msgspec.Struct, frozen=True, tag=True):
    """No action is permitted without an operator.

    ``topic`` names the alert, ``detail`` is stored with it.
    """

    topic: str
    severity: Severity
    reason: str
    detail: dict[str, int] = {}


_VOTING_STATES = frozenset({MarketState.PROPOSED, MarketState.DISPUTED})

# Every alert topic of a plan, with the market states in which it applies.
TOPIC_STATES: Final[dict[str, frozenset[MarketState]]] = {
    "approval_needs_admin": frozenset({MarketState.PROPOSED}),
    "bundle_not_pinned": _VOTING_STATES,
    "dispute_short_of_ballots": frozenset({MarketState.DISPUTED}),
    "dispute_without_ballots": frozenset({MarketState.DISPUTED}),
    "market_unreadable": frozenset(MarketState) - {MarketState.FINALIZED, MarketState.CANCELLED},
    "planning_failed": frozenset(MarketState) - {MarketState.FINALIZED, MarketState.CANCELLED},
    "proposal_review": frozenset({MarketState.PROPOSED}),
    "resolution_due": frozenset({MarketState.ACTIVE}),
    "resolving_after_dispute": frozenset({MarketState.RESOLVING}),
    "threshold_raised": frozenset({MarketState.PROPOSED}),
    "too_many_ballots": _VOTING_STATES,
    "unexpected_resolution": frozenset({MarketState.RESOLVING}),
}

# The chain stores both counts and their sum as u32.
MAX_VOTES = 2**32 - 1

Decision = Aggregate | Approve | Activate | Finalize | Wait | Alert


def action_of(decision: Decision) -> Action | None:
    """Return the action that carries the decision out, None where there is none."""
    match decision:
        case Aggregate():
            return "aggregate_proposal_votes"
        case Approve():
            return "approve_proposal"
        case Activate():
            return "activate_market"
        case Finalize():
            return "finalize_market"
        case Wait() | Alert():
            return None


def rules(settings: Settings) -> Rules:
    """Return the settings that decisions depend on."""
    can_approve = (settings.admin_keypair or settings.admin_private_key) is not None
    return Rules(
        min_proposal_votes=settings.min_proposal_votes,
        min_dispute_votes=settings.min_dispute_votes,
        dispute_voting_seconds=settings.dispute_voting_seconds,
        window_margin_seconds=settings.window_margin_seconds,
        proposal_review_seconds=settings.proposal_review_seconds,
        can_approve=can_approve,
        activates=can_approve and settings.auto_activate,
        resolvers=frozenset(bytes(address) for address in settings.resolvers),
    )


def decide(
    market: MarketAccount,
    config: GlobalConfig,
    chain_time: int,
    count: Count,
    rules: Rules,
    facts: OffChainFacts = _NO_FACTS,
) -> Decision:
    """Return the next step for ``market``.

    Args:
        market: The account at finalized.
        config: The configuration at finalized.
        chain_time: The chain's clock at finalized, Unix seconds.
        count: The latest tally of the vote that the market's state calls for (proposal when
            PROPOSED, dispute when DISPUTED); ignored in other states.
        rules: The settings.
        facts: What the tables know of the market.
    """
    match market.state:
        case MarketState.PROPOSED:
            return _proposed(market, config, chain_time, count, rules)
        case MarketState.APPROVED:
            return Activate() if rules.activates else Wait("the creator activates it")
        case MarketState.ACTIVE:
            return _active(chain_time, facts.ends_at)
        case MarketState.RESOLVING:
            return _resolving(market, config, chain_time, rules, facts)
        case MarketState.DISPUTED:
            return _disputed(market, config, chain_time, count, rules)
        case state:
            return Wait(f"a market that is {state.name} needs no action of the backend")


def _proposed(
    market: MarketAccount, config: GlobalConfig, chain_time: int, count: Count, rules: Rules
) -> Decision:
    threshold = config.proposal_approval_threshold
    recorded = (market.proposal_likes, market.proposal_dislikes)
    if count.frozen and recorded == (count.votes_for, count.votes_against) and count.total:
        # Our counts are on chain: only the approval is missing.
        if not meets_threshold(count.votes_for, count.total, threshold):
            return Alert(
                "threshold_raised",
                "high",
                f"the share on chain is {share_bps(count.votes_for, count.total)} bps, but the"
                f" threshold is now {threshold} bps; reopen the vote or cancel the market",
            )
        if rules.can_approve:
            return Approve()
        return Alert(
            "approval_needs_admin",
            "medium",
            "the proposal's counts are on chain; the admin must sign approve_proposal. Prepare it"
            " with zmart admin prepare approve",
        )
    if not count.frozen:
        shortfall = _shortfall(count, rules.min_proposal_votes, threshold)
        if shortfall is not None:
            if chain_time >= market.created_at + rules.proposal_review_seconds:
                return Alert(
                    "proposal_review",
                    "medium",
                    f"no consensus within {rules.proposal_review_seconds} s: {shortfall},"
                    f" {count.votes_for} for and {count.votes_against} against",
                    {
                        "votes_for": count.votes_for,
                        "votes_against": count.votes_against,
                        "ballots": count.wallets,
                        "minimum_ballots": rules.min_proposal_votes,
                        "threshold_bps": threshold,
                        "chain_time": chain_time,
                    },
                )
            return Wait(shortfall, until=market.created_at + rules.proposal_review_seconds)
    return _too_many(count) or Aggregate()


def _too_many(count: Count) -> Alert | None:
    if count.total <= MAX_VOTES:
        return None
    return Alert(
        "too_many_ballots",
        "critical",
        f"the chain cannot store {count.total} votes (u32); reopen the vote, whose next round"
        " begins with a unit that fits",
    )


def _shortfall(count: Count, minimum: int, threshold: int) -> str | None:
    if count.wallets < minimum:
        return f"{count.wallets} of {minimum} ballots"
    if not meets_threshold(count.votes_for, count.total, threshold):
        return f"{share_bps(count.votes_for, count.total)} of {threshold} bps"
    return None


def _active(chain_time: int, ends_at: int | None) -> Decision:
    if ends_at is None or chain_time < ends_at:
        return Wait("the market is trading", until=ends_at)
    return Alert(
        "resolution_due",
        "medium",
        f"its end time passed {chain_time - ends_at} s ago; materialize"
        " submissions/market_resolutions with the outcome and the evidence",
    )


def resolution_obstacle(
    market: MarketAccount | None, chain_time: int, ends_at: int | None, *, before_end: bool
) -> str | None:
    """Return why this market must not be resolved now, None where it may.

    The chain lets any signer resolve an active market, once, at any time and with any outcome:
    what is checked here is checked nowhere else.

    Args:
        market: The account at finalized, None where there is none.
        chain_time: The chain's clock at finalized, Unix seconds.
        ends_at: The market's end time, Unix seconds, if known.
        before_end: An operator insists on resolving it before its end time.
    """
    if market is None:
        return "it does not exist on chain at finalized"
    if market.state != MarketState.ACTIVE:
        return f"it is {market.state.name}; only an ACTIVE market can be resolved"
    if chain_time <= market.activated_at:
        return "it was activated in the current second; try again"
    if ends_at is not None and chain_time < ends_at and not before_end:
        return (
            f"its end time is {ends_at - chain_time} s ahead; set before_end to resolve it anyway"
        )
    return None


def _unexpected_resolution(market: MarketAccount, rules: Rules, facts: OffChainFacts) -> str | None:
    """Return what is unexpected about the proposed resolution, None where nothing is."""
    if facts.resolved_by_us:
        return None
    reasons = []
    if market.resolver not in rules.resolvers:
        reasons.append(f"{Pubkey(market.resolver)} is not an expected resolver")
    if facts.ends_at is not None and market.resolution_proposed_at < facts.ends_at:
        early = facts.ends_at - market.resolution_proposed_at
        reasons.append(f"it was resolved {early} s before its end time")
    return "; ".join(reasons) or None


def _resolving(
    market: MarketAccount,
    config: GlobalConfig,
    chain_time: int,
    rules: Rules,
    facts: OffChainFacts,
) -> Decision:
    # After a dispute that aggregate_dispute_votes ended, finalizing without counts would
    # confirm the outcome that the voters rejected.
    if market.was_disputed or market.dispute_total_votes > 0:
        return Alert(
            "resolving_after_dispute",
            "critical",
            "the market is RESOLVING after a dispute. An operator must dispute it again and"
            " finalize it with counts",
        )
    end = dispute_window_end(market.resolution_proposed_at, config.dispute_period)
    due = end + rules.window_margin_seconds
    if chain_time >= due:
        return Finalize(disputed=False)
    unexpected = _unexpected_resolution(market, rules, facts)
    if unexpected is None:
        return Wait("the dispute window is open", until=due)
    outcome = "YES" if market.proposed_outcome else "NO"
    return Alert(
        "unexpected_resolution",
        # Without expected resolvers every resolution is unexpected, so it is less urgent.
        "high" if rules.resolvers else "medium",
        f"{unexpected}; the proposed outcome is {outcome}. It can be disputed until chain second"
        f" {end}",
    )


def vote_began(disputed_at: int, reopened_at: int | None) -> int:
    """Return when the vote of a dispute's round began, chain seconds.

    The voters of a reopened round have the whole period again: their earlier ballots do not count.
    """
    return disputed_at if reopened_at is None else max(disputed_at, reopened_at)


def _disputed(
    market: MarketAccount, config: GlobalConfig, chain_time: int, count: Count, rules: Rules
) -> Decision:
    period = rules.dispute_voting_seconds or config.dispute_period
    began = vote_began(market.dispute_initiated_at, count.reopened_at)
    due = began + period + rules.window_margin_seconds
    if chain_time < due:
        return Wait("the dispute vote is open", until=due)
    if count.total == 0:
        return Alert(
            "dispute_without_ballots",
            "high",
            "the dispute vote ended without a ballot, so there are no counts to finalize with",
        )
    if count.wallets < rules.min_dispute_votes and not count.frozen:
        return Alert(
            "dispute_short_of_ballots",
            "high",
            f"the dispute vote ended with {count.wallets} of {rules.min_dispute_votes} ballots",
        )
    return _too_many(count) or Finalize(disputed=True)
