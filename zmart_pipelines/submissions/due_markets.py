"""Which markets are due for a transaction or an alert, according to the tables alone.

:func:`scan_due_markets` is the one answer. The sensors start runs by it and the planner reads
exactly its markets on chain, so that a scan costs as much as there is to do and not as much as
there are markets. The projection may be ahead of finalized or behind it: nothing is decided
here, the planner decides from the accounts at finalized.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Integer,
    LargeBinary,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.deadlines import DISPUTE_VOTE_BEGAN
from zmart_pipelines.store.tables.chain import cursors
from zmart_pipelines.store.tables.market import config_history
from zmart_pipelines.submissions import intents, policies
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.statuses import Action
from zmart_pipelines.voting import tallies
from zmart_pipelines.voting.due_proposals import ProposalScan, due_proposals_since, scan_proposals
from zmart_pipelines.voting.tallies import Tally

Scanner = Literal["sensor", "plan"]

VOTE_ACTIONS: Final[frozenset[Action]] = frozenset({"aggregate_proposal_votes", "approve_proposal"})

# RESOLVING markets whose dispute window has ended and DISPUTED ones whose dispute vote has, by
# the projected times; the vote of a reopened round begins again. The states are literals, so that
# Postgres uses the partial indexes of these states.
_ELAPSED_WINDOWS = text(
    f"""
SELECT market_id, state, resolution_proposed_at + :window AS due_at FROM market.markets
WHERE state = {MarketState.RESOLVING} AND resolution_proposed_at <= :now - :window
UNION ALL
SELECT m.market_id, m.state, {DISPUTE_VOTE_BEGAN} + :vote AS due_at FROM market.markets AS m
WHERE m.state = {MarketState.DISPUTED} AND m.dispute_initiated_at <= :now - :vote
    AND {DISPUTE_VOTE_BEGAN} <= :now - :vote
ORDER BY market_id
"""  # noqa: S608
).bindparams(
    bindparam("window", type_=BigInteger),
    bindparam("vote", type_=BigInteger),
    bindparam("now", type_=BigInteger),
)

# Rounds for which the action has an intent, of the given markets.
_INTENT_ROUNDS = text(
    "SELECT market_id, round FROM ops.intents"
    " WHERE action = :action AND market_id = ANY(:market_ids)"
).bindparams(bindparam("market_ids", type_=ARRAY(LargeBinary)))

# Proposals old enough for a review by operators, without an open alert of it.
_REVIEWS = text(
    """
SELECT m.market_id FROM market.markets AS m
WHERE m.state = :proposed AND m.created_at > :after AND m.created_at <= :before AND NOT EXISTS (
    SELECT FROM ops.alerts AS a
    WHERE a.topic = 'proposal_review' AND a.market_id = m.market_id AND a.cleared_at IS NULL
)
"""
).bindparams(
    bindparam("proposed", int(MarketState.PROPOSED), Integer),
    bindparam("after", type_=BigInteger),
    bindparam("before", type_=BigInteger),
)

# Active markets whose end time has passed, without an open alert of it.
_RESOLUTIONS_DUE = text(
    """
SELECT m.market_id FROM market.markets AS m
JOIN community.market_drafts AS d ON d.market_id = m.market_id
WHERE m.state = :active AND d.matched_at IS NOT NULL
    AND d.ends_at > to_timestamp(:since) AND d.ends_at <= to_timestamp(:now)
    AND NOT EXISTS (
        SELECT FROM ops.alerts AS a
        WHERE a.topic = 'resolution_due' AND a.market_id = m.market_id AND a.cleared_at IS NULL
    )
"""
).bindparams(
    bindparam("active", int(MarketState.ACTIVE), Integer),
    bindparam("since", type_=BigInteger),
    bindparam("now", type_=BigInteger),
)

# Resolutions by an unexpected resolver or before the end time, without an open alert of it.
_UNEXPECTED_RESOLUTIONS = text(
    f"""
SELECT m.market_id FROM market.markets AS m
LEFT JOIN community.market_drafts AS d
    ON d.market_id = m.market_id AND d.matched_at IS NOT NULL
WHERE m.state = {MarketState.RESOLVING} AND m.resolution_proposed_at > :since
    AND (m.resolver <> ALL(:expected) OR to_timestamp(m.resolution_proposed_at) < d.ends_at)
    AND NOT EXISTS (
        SELECT FROM ops.alerts AS a
        WHERE a.topic = 'unexpected_resolution' AND a.market_id = m.market_id
            AND a.cleared_at IS NULL
    ) AND NOT EXISTS (
        SELECT FROM ops.intents AS i
        WHERE i.market_id = m.market_id AND i.action = 'resolve_market'
            AND i.arguments->>'evidence_cid' = m.evidence_hash
            AND (i.arguments->>'outcome')::boolean = m.proposed_outcome
    )
"""  # noqa: S608
).bindparams(bindparam("since", type_=BigInteger), bindparam("expected", type_=ARRAY(LargeBinary)))

# Approved markets that have no intent to activate them.
_ACTIVATIONS = text(
    """
SELECT market_id, approved_at FROM market.markets AS m
WHERE state = :approved AND NOT EXISTS (
    SELECT FROM ops.intents AS i
    WHERE i.market_id = m.market_id AND i.action = 'activate_market'
)
"""
).bindparams(bindparam("approved", int(MarketState.APPROVED), Integer))

# Chain seconds: a scan for alerts goes back one hour, and to the beginning every ten minutes.
_RECENT_SECONDS: Final = 3600
_FULL_SCAN_SECONDS: Final = 600


class VotingPeriods(msgspec.Struct, frozen=True):
    """Seconds: of the dispute window, of the dispute vote, of the margin after both."""

    dispute_window: int
    dispute_vote: int
    margin: int


class DueMarkets(msgspec.Struct, frozen=True):
    """The result of one scan; market ids throughout.

    Attributes:
        proposals: Proposal tallies that suffice, and those that are frozen but not approved.
        reviews: Proposals old enough for a review, without an alert of it.
        activations: Approved markets that no intent activates.
        windows: RESOLVING and DISPUTED markets whose window or vote has ended, with the state.
        resolution_alerts: Markets whose resolution is due or unexpected, without an alert of it.
        submitted: Those of ``proposals`` and ``windows`` that a run has nothing to plan for: the
            intent exists, or the dispute has no ballot.
        pending: Markets of open intents that may be driven now.
        open_intents: How many intents of the scanned actions are open, due or not.
    """

    proposals: ProposalScan = ProposalScan()
    reviews: frozenset[bytes] = frozenset()
    activations: frozenset[bytes] = frozenset()
    windows: Mapping[bytes, MarketState] = {}
    resolution_alerts: frozenset[bytes] = frozenset()
    submitted: frozenset[bytes] = frozenset()
    pending: frozenset[bytes] = frozenset()
    open_intents: int = 0

    @property
    def to_read(self) -> tuple[bytes, ...]:
        """Every market that the planner must read on chain."""
        return tuple(sorted(self._found() | self.reviews))

    @property
    def to_run(self) -> tuple[bytes, ...]:
        """The markets for which a run is worth starting now.

        Reviews are not among them: their alert can wait for the next scheduled run.
        """
        return tuple(sorted((self._found() - self.submitted) | self.pending))

    def _found(self) -> set[bytes]:
        proposals = {tally.market_id for tally in (*self.proposals.passing, *self.proposals.frozen)}
        return proposals | self.activations | set(self.windows) | self.resolution_alerts


def scan_due_markets(
    conn: Connection,
    settings: Settings,
    *,
    actions: Collection[Action],
    chain_time: int,
    scanner: Scanner,
    periods: VotingPeriods | None = None,
) -> DueMarkets:
    """Return the markets that are due for one of ``actions``. Reads no chain.

    Entries of the change queue that call for nothing are dequeued once the caller commits.

    Args:
        conn: The transaction.
        settings: Minimum of ballots, review age, expected resolvers, periods.
        actions: The actions that the caller plans or drives.
        chain_time: The chain's clock, Unix seconds.
        scanner: Whose cursor tells how far back recent markets are scanned.
        periods: The periods in force; by default those of the configuration last ingested.
            Without any, no window has ended.
    """
    open_intents = [one for one in intents.open_intents(conn) if one.action in actions]
    proposals, reviews = ProposalScan(), frozenset[bytes]()
    submitted: set[bytes] = set()
    if VOTE_ACTIONS & set(actions):
        proposals = scan_proposals(conn, settings)
        reviews = _reviews(conn, settings, scanner, chain_time)
        submitted |= _aggregated(conn, proposals.frozen)
    activations: frozenset[bytes] = frozenset()
    if "activate_market" in actions and settings.auto_activate:
        activations = frozenset(conn.execute(_ACTIVATIONS).scalars())
    windows: dict[bytes, MarketState] = {}
    alerts: frozenset[bytes] = frozenset()
    if "finalize_market" in actions:
        windows = elapsed_windows(conn, chain_time, periods or ledger_periods(conn, settings))
        alerts = _resolution_alerts(conn, settings, scanner, chain_time)
        submitted |= set(windows) - _unplanned(conn, windows)
    return DueMarkets(
        proposals=proposals,
        reviews=reviews,
        activations=activations,
        windows=windows,
        resolution_alerts=alerts,
        # A market can have an intent of its window and still need an alert of its resolution.
        submitted=frozenset(submitted - alerts),
        pending=_drivable(open_intents),
        open_intents=len(open_intents),
    )


class DueDecision(msgspec.Struct, frozen=True):
    """A market that is due for a decision which no run has made yet.

    Attributes:
        market_id: The market.
        action: The action that the decision leads to.
        since: When it became due, by the database's clock.
    """

    market_id: bytes
    action: Action
    since: datetime


def due_decisions(
    conn: Connection, settings: Settings, *, chain_time: int, now: datetime
) -> list[DueDecision]:
    """Return the markets for which :func:`scan_due_markets` asks for a decision, and since when.

    Nothing is written and no scan has to have been made before, so that the answer is right also
    where nothing scans any more. Markets whose intent is open are not among them.

    Args:
        conn: The transaction.
        settings: As for :func:`scan_due_markets`.
        chain_time: The chain's clock, Unix seconds.
        now: The database's clock at that moment.
    """
    scan, queued_at = due_proposals_since(conn, settings)
    aggregated = _aggregated(conn, scan.frozen)
    due = [
        DueDecision(tally.market_id, "aggregate_proposal_votes", queued_at[tally.market_id])
        for tally in (*scan.passing, *scan.frozen)
        if tally.market_id not in aggregated
    ]

    def wall_clock(chain_second: int) -> datetime:
        return now - timedelta(seconds=chain_time - chain_second)

    if policies.rules(settings).activates:
        due += [
            DueDecision(row.market_id, "activate_market", wall_clock(row.approved_at))
            for row in conn.execute(_ACTIVATIONS)
        ]
    elapsed = _elapsed(conn, chain_time, ledger_periods(conn, settings))
    unplanned = _unplanned(conn, {row.market_id: row.state for row in elapsed})
    due += [
        DueDecision(row.market_id, "finalize_market", wall_clock(row.due_at))
        for row in elapsed
        if row.market_id in unplanned
    ]
    return due


def pending_markets(conn: Connection, action: Action) -> tuple[bytes, ...]:
    """Return the markets of the action's open intents that may be driven now."""
    open_intents = intents.open_intents(conn)
    return tuple(sorted(_drivable(one for one in open_intents if one.action == action)))


def voting_periods(settings: Settings, dispute_period: int) -> VotingPeriods:
    """Return the periods in force with the chain's ``dispute_period`` (seconds)."""
    return VotingPeriods(
        dispute_window=dispute_period,
        dispute_vote=settings.dispute_voting_seconds or dispute_period,
        margin=settings.window_margin_seconds,
    )


def ledger_periods(conn: Connection, settings: Settings) -> VotingPeriods | None:
    """Return the periods of the configuration last ingested, None when there is none yet."""
    history = config_history.c
    dispute_period = conn.execute(
        select(history.dispute_period)
        .order_by(history.slot.desc(), history.index_in_block.desc(), history.log_index.desc())
        .limit(1)
    ).scalar_one_or_none()
    return None if dispute_period is None else voting_periods(settings, dispute_period)


def elapsed_windows(
    conn: Connection, chain_time: int, periods: VotingPeriods | None
) -> dict[bytes, MarketState]:
    """Return RESOLVING and DISPUTED markets whose window or vote, and the margin, have ended."""
    return {row.market_id: row.state for row in _elapsed(conn, chain_time, periods)}


class _ElapsedWindow(msgspec.Struct, frozen=True):
    """A market whose window or vote has ended; ``due_at`` in chain seconds, margin included."""

    market_id: bytes
    state: MarketState
    due_at: int


def _elapsed(
    conn: Connection, chain_time: int, periods: VotingPeriods | None
) -> list[_ElapsedWindow]:
    if periods is None:
        return []
    rows = conn.execute(
        _ELAPSED_WINDOWS,
        {
            "window": periods.dispute_window + periods.margin,
            "vote": periods.dispute_vote + periods.margin,
            "now": chain_time,
        },
    )
    return [_ElapsedWindow(row.market_id, MarketState(row.state), row.due_at) for row in rows]


def finalize_round(tally_round: int) -> int:
    """Return the intent's round of a disputed finalization; 0 is that of an undisputed one."""
    return tally_round + 1


def scan_start(conn: Connection, scan: str, chain_time: int) -> int:
    """Return the chain second from which a scan reads: one hour back, or 0 every ten minutes.

    Markets that have been alerted about for long would otherwise make each scan expensive. The
    time of the last full scan is a cursor, which the caller commits.
    """
    name = f"due_markets:{scan}"
    last = conn.execute(select(cursors.c.slot).where(cursors.c.name == name)).scalar()
    if last is not None and last <= chain_time < last + _FULL_SCAN_SECONDS:
        return chain_time - _RECENT_SECONDS
    conn.execute(
        upsert(cursors)
        .values(name=name, slot=chain_time)
        .on_conflict_do_update(index_elements=["name"], set_={"slot": chain_time})
    )
    return 0


def _reviews(
    conn: Connection, settings: Settings, scanner: Scanner, chain_time: int
) -> frozenset[bytes]:
    since = scan_start(conn, f"{scanner}:reviews", chain_time)
    age = settings.proposal_review_seconds
    rows = conn.execute(_REVIEWS, {"after": since - age, "before": chain_time - age})
    return frozenset(rows.scalars())


def _resolution_alerts(
    conn: Connection, settings: Settings, scanner: Scanner, chain_time: int
) -> frozenset[bytes]:
    since = scan_start(conn, f"{scanner}:resolutions", chain_time)
    expected = [bytes(address) for address in settings.resolvers]
    due = conn.execute(_RESOLUTIONS_DUE, {"since": since, "now": chain_time}).scalars()
    unexpected = conn.execute(
        _UNEXPECTED_RESOLUTIONS, {"since": since, "expected": expected}
    ).scalars()
    return frozenset(due) | frozenset(unexpected)


def _drivable(open_intents: Iterable[Intent]) -> frozenset[bytes]:
    """Return the markets of intents that are live or whose retry is due."""
    return frozenset(
        intent.market_id for intent in open_intents if intent.status == "live" or intent.due_in <= 0
    )


def _aggregated(conn: Connection, frozen: Sequence[Tally]) -> set[bytes]:
    """Return the markets of frozen tallies whose counts an intent already submits."""
    rounds = {(tally.market_id, tally.round) for tally in frozen}
    return {
        market_id
        for market_id, _ in rounds
        & _intent_rounds(conn, "aggregate_proposal_votes", [market_id for market_id, _ in rounds])
    }


def _unplanned(conn: Connection, windows: Mapping[bytes, MarketState]) -> set[bytes]:
    """Return the markets that have no finalization intent; a disputed one needs a ballot."""
    disputed = [market for market, state in windows.items() if state == MarketState.DISPUTED]
    votes = tallies.current_tallies(conn, disputed, "dispute") if disputed else {}
    rounds = {(market, 0) for market, state in windows.items() if state == MarketState.RESOLVING}
    rounds |= {
        (market, finalize_round(tally.round)) for market, tally in votes.items() if tally.total
    }
    planned = _intent_rounds(conn, "finalize_market", [market for market, _ in rounds])
    return {market for market, _ in rounds - planned}


def _intent_rounds(
    conn: Connection, action: Action, market_ids: Sequence[bytes]
) -> set[tuple[bytes, int]]:
    if not market_ids:
        return set()
    rows = conn.execute(_INTENT_ROUNDS, {"action": action, "market_ids": list(market_ids)})
    return {(row.market_id, row.round) for row in rows}
