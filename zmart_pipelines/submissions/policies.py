"""What a market needs from us next, decided from its account alone. Pure.

Everything is read at finalized: the account, the configuration, the chain's clock. Shares
are floored basis points. Windows are waited out by the chain's clock plus a margin. The
table of decisions is in ``docs/ballots.md``; each row of it is a test.
"""

from __future__ import annotations

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, MarketState
from zmart_pipelines.program.lifecycle import dispute_window_end, meets_threshold, share_bps
from zmart_pipelines.settings import Settings


class Rules(msgspec.Struct, frozen=True):
    """The settings that decide. ``dispute_voting_seconds``: None takes the chain's
    ``dispute_period``. ``can_approve``: the admin's key is ours. ``activates``: it also opens
    the trading of approved markets. ``resolvers``: who may resolve without an alert, beside
    ourselves.
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
    """A tally as the decision needs it. ``frozen``: its counts can no longer change.

    ``ballots``: wallets behind the votes; None where each wallet has one vote.
    """

    votes_for: int
    votes_against: int
    frozen: bool = False
    round: int = 0
    ballots: int | None = None

    @property
    def total(self) -> int:
        """All votes counted."""
        return self.votes_for + self.votes_against

    @property
    def wallets(self) -> int:
        """All ballots counted."""
        return self.total if self.ballots is None else self.ballots


class OffChainFacts(msgspec.Struct, frozen=True):
    """What we know of a market and the chain does not. ``ends_at``: when its question is
    decided, Unix seconds, where somebody said so. ``resolved_by_us``: the proposed outcome
    and its evidence are those of our own intent.
    """

    ends_at: int | None = None
    resolved_by_us: bool = False


_NOTHING = OffChainFacts()


class Aggregate(msgspec.Struct, frozen=True, tag=True):
    """Freeze the proposal's tally and send its counts; approve after it where we can."""


class Approve(msgspec.Struct, frozen=True, tag=True):
    """The counts are on chain and suffice: send approve_proposal with the admin's key."""


class Activate(msgspec.Struct, frozen=True, tag=True):
    """Open trading: send activate_market with the admin's key."""


class Finalize(msgspec.Struct, frozen=True, tag=True):
    """Send finalize_market: without counts, or with those of the frozen dispute tally."""

    disputed: bool


class Wait(msgspec.Struct, frozen=True, tag=True):
    """Nothing now. ``until``: chain second at which that changes by itself, where known."""

    reason: str
    until: int | None = None


class Alert(msgspec.Struct, frozen=True, tag=True):
    """Nothing that we may do by ourselves: people must look. ``topic`` names the alert."""

    topic: str
    severity: Severity
    reason: str


# Every topic that a plan raises, and clears once it is over.
TOPICS = (
    "approval_needs_admin",
    "bundle_not_pinned",
    "dispute_short_of_ballots",
    "dispute_without_ballots",
    "market_unreadable",
    "proposal_review",
    "resolution_due",
    "resolving_after_dispute",
    "threshold_raised",
    "too_many_ballots",
    "unexpected_resolution",
)

# The chain keeps counts as u32, their sum too.
MAX_VOTES = 2**32 - 1

Decision = Aggregate | Approve | Activate | Finalize | Wait | Alert


def rules(settings: Settings) -> Rules:
    """The deciding settings."""
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
    known: OffChainFacts = _NOTHING,
) -> Decision:
    """The next step for ``market``.

    :param chain_time: the chain's clock at finalized, Unix seconds.
    :param count: the latest tally of the vote that the market's state asks for (proposal
        when PROPOSED, dispute when DISPUTED); not looked at in other states.
    """
    match market.state:
        case MarketState.PROPOSED:
            return _proposed(market, config, chain_time, count, rules)
        case MarketState.APPROVED:
            return Activate() if rules.activates else Wait("its creator activates it")
        case MarketState.ACTIVE:
            return _active(chain_time, known.ends_at)
        case MarketState.RESOLVING:
            return _resolving(market, config, chain_time, rules, known)
        case MarketState.DISPUTED:
            return _disputed(market, config, chain_time, count, rules)
        case state:
            return Wait(f"{state.name} asks nothing of the backend")


def _proposed(
    market: MarketAccount, config: GlobalConfig, chain_time: int, count: Count, rules: Rules
) -> Decision:
    threshold = config.proposal_approval_threshold
    recorded = (market.proposal_likes, market.proposal_dislikes)
    if count.frozen and recorded == (count.votes_for, count.votes_against) and count.total:
        # Ours, and there: only the approval is missing.
        if not meets_threshold(count.votes_for, count.total, threshold):
            return Alert(
                "threshold_raised",
                "high",
                f"the counts on chain give {share_bps(count.votes_for, count.total)} bps, the"
                f" threshold is {threshold} bps now; reopen the vote or cancel the market",
            )
        if rules.can_approve:
            return Approve()
        return Alert(
            "approval_needs_admin",
            "medium",
            "the proposal's counts are on chain; the admin must sign approve_proposal, which zmart"
            " admin prepare approve makes anew",
        )
    if not count.frozen:
        shortfall = _shortfall(count, rules.min_proposal_votes, threshold)
        if shortfall is not None:
            if chain_time >= market.created_at + rules.proposal_review_seconds:
                return Alert(
                    "proposal_review",
                    "medium",
                    f"the proposal is not approved after {rules.proposal_review_seconds} s:"
                    f" {shortfall}",
                )
            return Wait(shortfall, until=market.created_at + rules.proposal_review_seconds)
    return _too_many(count) or Aggregate()


def _too_many(count: Count) -> Alert | None:
    if count.total <= MAX_VOTES:
        return None
    return Alert("too_many_ballots", "critical", f"the chain cannot hold {count.total} votes")


def _shortfall(count: Count, least: int, threshold: int) -> str | None:
    if count.wallets < least:
        return f"{count.wallets} of {least} ballots"
    if not meets_threshold(count.votes_for, count.total, threshold):
        return f"{share_bps(count.votes_for, count.total)} of {threshold} bps"
    return None


def _active(chain_time: int, ends_at: int | None) -> Decision:
    if ends_at is None or chain_time < ends_at:
        return Wait("it is being traded", until=ends_at)
    return Alert(
        "resolution_due",
        "medium",
        f"its question was decided {chain_time - ends_at} s ago; materialize"
        " submissions/market_resolutions with the outcome and the evidence",
    )


def resolution_obstacle(
    market: MarketAccount | None, chain_time: int, ends_at: int | None, *, before_end: bool
) -> str | None:
    """Why we do not resolve this market now; None where we may.

    The chain lets anybody resolve an active market at any time and with any outcome, once,
    so what is checked here is checked nowhere else. ``before_end``: an operator insists on
    resolving it although its question is not decided yet.
    """
    if market is None:
        return "there is no such market on chain at finalized"
    if market.state != MarketState.ACTIVE:
        return f"it is {market.state.name}; only an ACTIVE market can be resolved"
    if chain_time <= market.activated_at:
        return "it was activated in this very second; try again"
    if ends_at is not None and chain_time < ends_at and not before_end:
        return (
            f"its question is decided in {ends_at - chain_time} s only; set before_end to"
            " resolve it all the same"
        )
    return None


def _suspicion(market: MarketAccount, rules: Rules, known: OffChainFacts) -> str | None:
    """What is unusual about the resolution that was proposed."""
    if known.resolved_by_us:
        return None
    found = []
    if market.resolver not in rules.resolvers:
        found.append(f"{Pubkey(market.resolver)} is not expected to resolve markets")
    if known.ends_at is not None and market.resolution_proposed_at < known.ends_at:
        early = known.ends_at - market.resolution_proposed_at
        found.append(f"it was resolved {early} s before its question is decided")
    return "; ".join(found) or None


def _resolving(
    market: MarketAccount,
    config: GlobalConfig,
    chain_time: int,
    rules: Rules,
    known: OffChainFacts,
) -> Decision:
    # After a dispute that aggregate_dispute_votes ended, finalizing without counts would
    # confirm the very outcome that the voters rejected.
    if market.was_disputed or market.dispute_total_votes > 0:
        return Alert(
            "resolving_after_dispute",
            "critical",
            "the market is RESOLVING after a dispute; it must be disputed again and finalized"
            " with counts, by hand",
        )
    end = dispute_window_end(market.resolution_proposed_at, config.dispute_period)
    due = end + rules.window_margin_seconds
    if chain_time >= due:
        return Finalize(disputed=False)
    suspicion = _suspicion(market, rules, known)
    if suspicion is None:
        return Wait("the dispute window is open", until=due)
    outcome = "YES" if market.proposed_outcome else "NO"
    return Alert(
        "unexpected_resolution",
        # Where nobody was named, anybody's resolution is unexpected, and less of a surprise.
        "high" if rules.resolvers else "medium",
        f"{suspicion}; proposed is {outcome}, whoever disagrees can dispute it before chain"
        f" second {end}",
    )


def _disputed(
    market: MarketAccount, config: GlobalConfig, chain_time: int, count: Count, rules: Rules
) -> Decision:
    period = rules.dispute_voting_seconds or config.dispute_period
    due = market.dispute_initiated_at + period + rules.window_margin_seconds
    if chain_time < due:
        return Wait("the dispute vote is open", until=due)
    if count.total == 0:
        return Alert(
            "dispute_without_ballots",
            "high",
            "the dispute vote ended without a ballot; the chain cannot finalize it with counts",
        )
    if count.wallets < rules.min_dispute_votes and not count.frozen:
        return Alert(
            "dispute_short_of_ballots",
            "high",
            f"the dispute vote ended with {count.wallets} of {rules.min_dispute_votes} ballots",
        )
    return _too_many(count) or Finalize(disputed=True)
