"""Read the status of one market from the tables: what it waits for, and what is in its way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.breakers.policies import action_name
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.client_schemas.market_status import (
    Blocker,
    BlockerKind,
    LastTransaction,
    MarketStatus,
    OpenVote,
)
from zmart_pipelines.health.market_progress import MarketFacts, Progress, VoteStanding, progress
from zmart_pipelines.ledger.model import config_timeline
from zmart_pipelines.monitoring.work_health import SERVICES
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import submissions
from zmart_pipelines.store.queries.alerts import Alert, find_alerts, no_consensus
from zmart_pipelines.store.queries.breakers import breaker_statuses
from zmart_pipelines.store.queries.configuration import (
    VotingConfiguration,
    voting_configuration,
)
from zmart_pipelines.store.queries.markets import Market, chain_now
from zmart_pipelines.store.queries.newest_transaction import NewestTransaction, newest_transaction
from zmart_pipelines.store.queries.open_votes import OPEN_VOTES
from zmart_pipelines.store.queries.work_health import job_runs
from zmart_pipelines.submissions import policies
from zmart_pipelines.submissions.switches import read_switches
from zmart_pipelines.voting import tallies
from zmart_pipelines.voting.ballot import Kind

_SETTLED: Final = ("final", "superseded")
# The column with the chain second at which a state began.
_BEGAN: Final = {
    MarketState.PROPOSED: "created_at",
    MarketState.APPROVED: "approved_at",
    MarketState.ACTIVE: "activated_at",
    MarketState.RESOLVING: "resolution_proposed_at",
    MarketState.DISPUTED: "dispute_initiated_at",
    MarketState.FINALIZED: "finalized_at",
    MarketState.CANCELLED: "cancelled_at",
}


def read_market_status(conn: Connection, settings: Settings, market: Market) -> MarketStatus:
    """Return what the market waits for, and what is in its way.

    Args:
        conn: A transaction in which all tables are read at one time.
        settings: The rules of the backend.
        market: The market's row.
    """
    state = MarketState(market.state)
    now = chain_now(conn)
    configuration = voting_configuration(conn) or _initial_configuration()
    alerts = find_alerts(conn, is_open=True, market_id=market.market_id)
    rules = _rules(settings, alerts)
    vote = _standing(conn, market, configuration, rules)
    found = progress(_facts(market, vote), configuration, rules, now)
    last = newest_transaction(conn, market.market_id)
    return MarketStatus(
        market_id=market.market_id.hex(),
        address=formats.base58_key(market.address),
        question=market.question,
        state=formats.state_name(market.state),
        state_since=formats.chain_time(getattr(market, _BEGAN[state])),
        chain_time=formats.as_of(now),
        waits_for=found.waits_for,
        actor=found.actor,
        deadline=formats.chain_time(found.deadline),
        seconds_left=None if found.deadline is None else max(0, found.deadline - now),
        next_action=found.action,
        vote=None if vote is None else _open_vote(vote),
        last_transaction=None if last is None else _last_transaction(last),
        blockers=[
            *_blockers(conn, settings, market, found),
            *(_alert(conn, alert) for alert in alerts),
        ],
        as_of_slot=market.as_of_slot,
        commitment=market.commitment,
    )


def _rules(settings: Settings, alerts: Sequence[Alert]) -> policies.Rules:
    """Return the rules of the pipelines, whose process alone has the admin's key."""
    return msgspec.structs.replace(
        policies.rules(settings),
        can_approve="approval_needs_admin" not in {alert.topic for alert in alerts},
        activates=settings.auto_activate,
    )


def _initial_configuration() -> VotingConfiguration:
    """Return what the program initializes, for a ledger without an event of the configuration."""
    initial = config_timeline.DEFAULT
    return VotingConfiguration(
        initial.proposal_approval_threshold,
        initial.dispute_success_threshold,
        initial.dispute_period,
    )


def _standing(
    conn: Connection, market: Market, configuration: VotingConfiguration, rules: policies.Rules
) -> VoteStanding | None:
    name = OPEN_VOTES.get(market.state)
    if name is None:
        return None
    kind: Kind = "proposal" if name == "proposal" else "dispute"
    tally = tallies.current_tally(conn, market.market_id, kind)
    is_proposal = kind == "proposal"
    return VoteStanding(
        kind=kind,
        round=tally.round,
        votes_for=tally.votes_for,
        votes_against=tally.votes_against,
        ballots=tally.ballots,
        minimum_ballots=rules.min_proposal_votes if is_proposal else rules.min_dispute_votes,
        threshold_bps=configuration.proposal_approval_threshold
        if is_proposal
        else configuration.dispute_success_threshold,
        is_frozen=tally.status == "frozen",
        reopened_at=tally.opened_chain_time,
    )


def _facts(market: Market, vote: VoteStanding | None) -> MarketFacts:
    recorded = (market.proposal_likes, market.proposal_dislikes)
    return MarketFacts(
        state=MarketState(market.state),
        resolution_proposed_at=market.resolution_proposed_at,
        dispute_initiated_at=market.dispute_initiated_at,
        was_disputed=market.was_disputed,
        is_recorded=vote is not None
        and vote.is_frozen
        and recorded == (vote.votes_for, vote.votes_against),
        ends_at=None if market.ends_at is None else int(market.ends_at.timestamp()),
        vote=vote,
    )


def _open_vote(vote: VoteStanding) -> OpenVote:
    return OpenVote(
        kind=vote.kind,
        round=vote.round,
        votes_for=vote.votes_for,
        votes_against=vote.votes_against,
        share_bps=vote.share_bps,
        threshold_bps=vote.threshold_bps,
        ballots=vote.ballots,
        minimum_ballots=vote.minimum_ballots,
        is_frozen=vote.is_frozen,
    )


def _last_transaction(row: NewestTransaction) -> LastTransaction:
    return LastTransaction(
        signature=formats.base58_signature(row.signature),
        event=row.name,
        slot=row.slot,
        commitment=row.commitment,
        block_time=formats.chain_time(row.block_time),
        fee=row.fee,
    )


def _blockers(
    conn: Connection, settings: Settings, market: Market, found: Progress
) -> Iterator[Blocker]:
    if found.action is not None:
        yield from _switches(conn, settings, found.action)
        yield from _breakers(conn, found.action)
        yield from _failing_runs(conn, found.action)
    yield from _submissions(conn, market.market_id)


def _submissions(conn: Connection, market_id: bytes) -> Iterator[Blocker]:
    """Yield the newest submission of each action, where it has failed or is tried again."""
    found = submissions.find_intents(conn, submissions.IntentFilter(market_id=market_id))
    newest = {intent.action: intent for intent in reversed(found)}
    for intent in newest.values():
        is_open = intent.status in submissions.OPEN
        if intent.status not in _SETTLED and (intent.failures or not is_open):
            detail = {
                "intent": intent.id,
                "status": intent.status,
                "failures": intent.failures,
                "reason": intent.reason,
            }
            yield _blocker("submission", intent.action, intent.created_at, detail)


def _alert(conn: Connection, alert: Alert) -> Blocker:
    """Return an alert without its text, which is for operators; counts of votes are public."""
    detail: dict[str, Any] = {"severity": alert.severity}
    if alert.topic == "proposal_review" and alert.market_id is not None:
        counts = no_consensus(conn, alert.market_id)
        if counts is not None:
            at = formats.chain_time(counts.pop("chain_time"))
            detail |= {"outcome": "no consensus", **counts, "counted_at": at}
    return _blocker("alert", alert.topic, alert.raised_at, detail)


def _switches(conn: Connection, settings: Settings, action: str) -> Iterator[Blocker]:
    if not settings.submissions_enabled:
        yield _blocker("switch", "SUBMISSIONS_ENABLED", None, {})
    for switch in read_switches(conn):
        if not switch.enabled and switch.action in ("all", action):
            yield _blocker("switch", switch.action, switch.changed_at, {})


def _breakers(conn: Connection, action: str) -> Iterator[Blocker]:
    for row in breaker_statuses(conn):
        if not row.is_closed and (row.name.startswith("rpc:") or row.name == action_name(action)):
            detail = {"state": row.state, "until": formats.iso8601_or_none(row.wait_until)}
            yield _blocker("breaker", row.name, row.opened_at, detail)


def _failing_runs(conn: Connection, action: str) -> Iterator[Blocker]:
    jobs = [job for one in SERVICES.values() if action in one.actions for job in one.jobs]
    for runs in job_runs(conn, jobs):
        if runs.failed:
            yield _blocker("run", runs.job, runs.failed_at, {"failed_in_a_row": runs.failed})


def _blocker(kind: BlockerKind, name: str, since: Any, detail: dict[str, Any]) -> Blocker:
    return Blocker(kind, name, formats.iso8601_or_none(since), detail)
