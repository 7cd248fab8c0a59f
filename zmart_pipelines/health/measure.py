"""Measure every quantity of health from the tables, so that it holds whatever else has stopped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ARRAY, Connection, Text, bindparam, select, text

from zmart_pipelines import base58
from zmart_pipelines.health.archive_record import ArchiveState, archive_state
from zmart_pipelines.health.chain_tips import ChainTips
from zmart_pipelines.ledger.readers.deliveries import MAX_ATTEMPTS
from zmart_pipelines.monitoring import work_health as quantities
from zmart_pipelines.monitoring.heartbeats import START
from zmart_pipelines.monitoring.work_health import (
    JOBS,
    SERVICES,
    Measurement,
    Quantity,
    QuantityHealth,
    Service,
    State,
    age,
    evaluate,
    nothing_owed,
    worst,
)
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import work_health as tables
from zmart_pipelines.store.queries.backups import last_verified
from zmart_pipelines.store.queries.breakers import BreakerStatus, breaker_statuses
from zmart_pipelines.store.queries.relayed_transactions import OpenTransactions, open_transactions
from zmart_pipelines.store.queries.work_health import JobRuns, OpenIntents, WorkFacts
from zmart_pipelines.store.tables.ops import heartbeats
from zmart_pipelines.submissions.due_markets import DueDecision, due_decisions
from zmart_pipelines.submissions.switches import disabled_actions

# The check of an asset's age (``assets.freshness``).
AGE_CHECK: Final = "verified_within_limit"

# A job without a schedule runs again only when there is work; after so long its failures tell
# nothing about now.
FAILURES_COUNT_FOR: Final = timedelta(hours=1)

# Alerts by which a plan says that a market waits for an operator. No run can decide it.
_OPERATORS_TOPICS: Final = (
    "approval_needs_admin",
    "dispute_short_of_ballots",
    "dispute_without_ballots",
    "resolving_after_dispute",
    "threshold_raised",
    "too_many_ballots",
)
_WAITING_FOR_OPERATORS = text(
    "SELECT market_id FROM ops.alerts WHERE cleared_at IS NULL AND topic = ANY(:topics)"
).bindparams(bindparam("topics", list(_OPERATORS_TOPICS), ARRAY(Text)))


class ServiceHealth(msgspec.Struct, frozen=True):
    """A service with its quantities.

    Attributes:
        service: Its name.
        state: The worst state of its quantities; ``idle`` where it is ok and has nothing to do.
        deadline_seconds: Age of its main quantity at which it is down.
        silent_seconds: Seconds since it last finished something, if ever.
        last_success_at: When that was.
        last_attempt_at: Its last success or error.
        last_error: Text of its last error.
        last_error_at: When that was.
        detail: Facts of what it last finished.
        quantities: What its state follows from.
    """

    service: str
    state: State
    deadline_seconds: int
    silent_seconds: int | None
    last_success_at: datetime | None
    last_attempt_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    detail: dict[str, Any]
    quantities: list[QuantityHealth]

    @property
    def is_down(self) -> bool:
        """Return whether a quantity is past its second threshold."""
        return self.state == "down"


def health(
    conn: Connection,
    settings: Settings,
    *,
    tips: ChainTips | None = None,
    now: datetime | None = None,
) -> dict[str, ServiceHealth]:
    """Return the health of every service by name. Nothing is written.

    Args:
        conn: Reads the tables; one snapshot makes the quantities agree with each other.
        settings: Thresholds, and the rules of what is due.
        tips: Where the chain stands; without it no lag in slots is measured, and the chain's clock
            is taken to be the database's.
        now: The time to measure at; None: the database's clock.
    """
    facts = tables.work_facts(
        conn, start=START, delivery_attempts=MAX_ATTEMPTS, age_check=AGE_CHECK, now=now
    )
    measured = list(_measure(conn, settings, facts, tips))
    thresholds = settings.health_thresholds
    found = [
        evaluate(one, thresholds[one.quantity.name], now=facts.now, started_at=facts.started_at)
        for one in measured
    ]
    busy = {one.service for one in measured if one.detail.get("waiting")}
    rows = {row.service: row for row in conn.execute(select(heartbeats))}
    return {
        name: _service(service, found, rows.get(name), facts.now, settings, busy=name in busy)
        for name, service in SERVICES.items()
    }


def _service(
    service: Service,
    found: Iterable[QuantityHealth],
    beat: Any,
    now: datetime,
    settings: Settings,
    *,
    busy: bool,
) -> ServiceHealth:
    own = [one for one in found if one.service == service.name]
    state = worst(tuple(one.state for one in own))
    if state == "ok" and service.actions and not busy:
        state = "idle"
    success_at = None if beat is None else beat.last_success_at
    return ServiceHealth(
        service=service.name,
        state=state,
        deadline_seconds=settings.health_thresholds[service.main.name].down,
        silent_seconds=None if success_at is None else int((now - success_at).total_seconds()),
        last_success_at=_utc(success_at),
        last_attempt_at=None if beat is None else _utc(beat.last_attempt_at),
        last_error=None if beat is None else beat.last_error,
        last_error_at=None if beat is None else _utc(beat.last_error_at),
        detail={} if beat is None else beat.detail,
        quantities=own,
    )


def _measure(
    conn: Connection, settings: Settings, facts: WorkFacts, tips: ChainTips | None
) -> Iterator[Measurement]:
    yield from _ledger(facts, tips)
    offset = 0.0 if tips is None else tips.clock_offset
    decisions = due_decisions(
        conn, settings, chain_time=int(facts.now.timestamp() + offset), now=facts.now
    )
    waiting = set(conn.execute(_WAITING_FOR_OPERATORS).scalars())
    disabled = disabled_actions(conn, settings)
    intents = tables.open_intents_by_action(conn)
    runs = {job.job: job for job in tables.job_runs(conn, JOBS)}
    breakers = [row for row in breaker_statuses(conn) if not row.is_closed]
    for service in SERVICES.values():
        if service.actions:
            yield _decisions(service, decisions, waiting)
            yield _intents(service, intents, disabled)
        yield from _jobs(service, runs, facts)
        if service.actions or service.breakers:
            yield _breakers(service, breakers)
    yield _relayed(open_transactions(conn))
    yield _backups(last_verified(conn))
    yield _archive(archive_state(conn, settings.wal_archive_folder))
    yield _count("pipelines", quantities.FAILING_CHECKS, facts.failing_checks, facts.failing_since)
    yield _count("pipelines", quantities.STALE_ASSETS, facts.stale_assets, facts.stale_since)


def _ledger(facts: WorkFacts, tips: ChainTips | None) -> Iterator[Measurement]:
    name = "event-indexer"
    for lag, slots, read_at, cursor, tip in (
        (
            quantities.CONFIRMED_LAG,
            quantities.CONFIRMED_SLOTS,
            facts.confirmed_at,
            facts.confirmed_slot,
            None if tips is None else tips.confirmed,
        ),
        (
            quantities.FINALIZED_LAG,
            quantities.FINALIZED_SLOTS,
            facts.finalized_at,
            facts.finalized_slot,
            None if tips is None else tips.finalized,
        ),
    ):
        where = "nothing was read yet" if cursor is None else f"read up to slot {cursor}"
        yield age(name, lag, read_at, cause=where)
        if cursor is not None and tip is not None:
            # The tip may have been read before the cursor moved on.
            tip = max(tip, cursor)
        behind = None if cursor is None or tip is None else float(tip - cursor)
        unknown = "nothing was read yet" if cursor is None else "the chain's tip is not known"
        yield Measurement(
            name,
            slots,
            behind,
            cause=unknown if behind is None else f"read up to slot {cursor} of {tip}",
        )
    detail = {"waiting": facts.deliveries_waiting, "given_up": facts.deliveries_given_up}
    if facts.delivery_at is None:
        yield nothing_owed(name, quantities.DELIVERY, detail=detail)
    else:
        cause = f"{facts.deliveries_waiting} deliveries are not ingested"
        yield age(name, quantities.DELIVERY, facts.delivery_at, cause=cause, detail=detail)


def _decisions(
    service: Service, decisions: Iterable[DueDecision], waiting: Collection[bytes]
) -> Measurement:
    own = [one for one in decisions if one.action in service.actions]
    due = [one for one in own if one.market_id not in waiting]
    detail = {"waiting": len(due), "waiting_for_operators": len(own) - len(due)}
    if not due:
        return nothing_owed(service.name, quantities.DUE_DECISION, detail=detail)
    oldest = min(due, key=lambda one: one.since)
    cause = f"{oldest.action} of market {oldest.market_id.hex()} is due; {len(due)} in all"
    return age(service.name, quantities.DUE_DECISION, oldest.since, cause=cause, detail=detail)


def _intents(
    service: Service, intents: Iterable[OpenIntents], disabled: Collection[str]
) -> Measurement:
    own = [one for one in intents if one.action in service.actions]
    # A transaction that was sent is driven to its verdict whatever the switch says.
    counted = [one for one in own if one.status == "live" or one.action not in disabled]
    number = sum(one.number for one in counted)
    detail = {"waiting": number, "switched_off": sum(one.number for one in own) - number}
    if not counted:
        return nothing_owed(service.name, quantities.OPEN_INTENT, detail=detail)
    oldest = min(counted, key=lambda one: one.since)
    reason = f": {oldest.reason}" if oldest.reason else ""
    cause = f"intent {oldest.oldest} ({oldest.action}) is {oldest.status}{reason}"
    return age(service.name, quantities.OPEN_INTENT, oldest.since, cause=cause, detail=detail)


def _relayed(found: OpenTransactions) -> Measurement:
    detail = {"waiting": found.number}
    quantity = quantities.RELAYED_TRANSACTION
    if found.oldest is None:
        return nothing_owed("pipelines", quantity, detail=detail)
    name = base58.encode(found.oldest)
    cause = f"transaction {name} is {found.state}; {found.number} are open"
    return age("pipelines", quantity, found.since, cause=cause, detail=detail)


def _backups(verified: datetime | None) -> Measurement:
    cause = (
        "no backup was verified yet"
        if verified is None
        else f"the newest verified backup was begun at {verified.astimezone(UTC):%F %T}Z"
    )
    return age("pipelines", quantities.BACKUP_AGE, verified, cause=cause)


def _archive(state: ArchiveState) -> Measurement:
    quantity = quantities.ARCHIVE_LAG
    if not state.is_kept:
        cause = "the log of this cluster is not archived on this machine"
        return nothing_owed("pipelines", quantity, cause=cause)
    if state.received is None:
        cause = "the archive of the log has received nothing yet"
        return age("pipelines", quantity, None, cause=cause)
    until = state.received.until
    cause = f"the archive of the log has everything until {until.astimezone(UTC):%F %T}Z"
    return age("pipelines", quantity, until, cause=cause)


def _jobs(service: Service, runs: Mapping[str, JobRuns], facts: WorkFacts) -> Iterator[Measurement]:
    """Yield the job that is overdue most, and the one with the most failures in a row."""
    scheduled = [(runs[job], every) for job, every in service.jobs.items() if every is not None]
    if scheduled:
        late, every = max(
            scheduled, key=lambda one: facts.now - (one[0].success_at or facts.started_at) - one[1]
        )
        last = "never" if late.success_at is None else f"{late.success_at.astimezone(UTC):%F %T}Z"
        yield age(
            service.name,
            quantities.JOB_OVERDUE,
            late.success_at,
            allowed=every.total_seconds(),
            cause=f"{late.job} runs every {every}; last success: {last}",
            detail={job: _iso(runs[job].success_at) for job in service.jobs},
        )
    failing = max(
        (runs[job] for job in service.jobs), key=lambda job: _failures(service, job, facts)
    )
    failures = _failures(service, failing, facts)
    yield Measurement(
        service.name,
        quantities.FAILED_RUNS,
        float(failures),
        since=failing.failed_at if failures else None,
        cause=f"{failing.job}: {failing.error}" if failures else None,
    )


def _failures(service: Service, job: JobRuns, facts: WorkFacts) -> int:
    if job.failed_at is None:
        return 0
    recent = facts.now - job.failed_at < FAILURES_COUNT_FOR
    return job.failed if recent or service.jobs[job.job] is not None else 0


def _breakers(service: Service, breakers: Sequence[BreakerStatus]) -> Measurement:
    names = {f"action:{action}" for action in service.actions}
    own = [
        row
        for row in breakers
        if row.name in names
        or (service.breakers is not None and row.name.startswith(service.breakers))
    ]
    opened = [row.opened_at for row in own if row.opened_at is not None]
    return Measurement(
        service.name,
        quantities.OPEN_BREAKERS,
        float(len(own)),
        since=min(opened, default=None),
        cause="; ".join(f"{row.name}: {row.last_error}" for row in own) or None,
    )


def _count(
    service: str, quantity: Quantity, names: Sequence[str], since: datetime | None
) -> Measurement:
    return Measurement(service, quantity, float(len(names)), since, cause=", ".join(names) or None)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")
