"""Health by the work that is done: measured quantities against their thresholds. Pure.

A process that runs, or a sensor that ticks, says nothing. What counts is how old the oldest work
is that should be finished, how far the ledger is behind, and what failed. Each quantity belongs to
a service, and a service is as healthy as its worst quantity.

After a start nothing is degraded or down before the system has had the time that its thresholds
allow. Until then a quantity that is past a threshold is ``starting``, and so is a reader that has
not finished once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec

from zmart_pipelines.settings import Threshold

State: TypeAlias = Literal["ok", "starting", "idle", "degraded", "down"]
Unit: TypeAlias = Literal["seconds", "slots", "runs", "checks", "assets", "breakers"]

WORST_FIRST: Final[tuple[State, ...]] = ("down", "degraded", "starting", "ok", "idle")

# Seconds after a start in which quantities that are no ages are at most ``starting``.
START_SECONDS: Final = 120.0


class Quantity(msgspec.Struct, frozen=True):
    """What is measured.

    Attributes:
        name: Also the name of its setting, ``health_<name>``.
        unit: Of its values.
        alerts: Whether passing a threshold raises an alert of its own. The others count things
            that have one each.
        continuous: Whether it is the time since a reader last finished, so that the system is
            ``starting`` until the reader has finished once.
    """

    name: str
    unit: Unit
    alerts: bool = True
    continuous: bool = False


DUE_DECISION: Final = Quantity("due_decision_seconds", "seconds")
OPEN_INTENT: Final = Quantity("open_intent_seconds", "seconds")
RELAYED_TRANSACTION: Final = Quantity("relayed_transaction_seconds", "seconds")
CONFIRMED_LAG: Final = Quantity("confirmed_lag_seconds", "seconds", continuous=True)
CONFIRMED_SLOTS: Final = Quantity("confirmed_lag_slots", "slots")
FINALIZED_LAG: Final = Quantity("finalized_lag_seconds", "seconds", continuous=True)
FINALIZED_SLOTS: Final = Quantity("finalized_lag_slots", "slots")
DELIVERY: Final = Quantity("delivery_seconds", "seconds")
JOB_OVERDUE: Final = Quantity("job_overdue_seconds", "seconds")
BACKUP_AGE: Final = Quantity("backup_age_seconds", "seconds")
ARCHIVE_LAG: Final = Quantity("wal_archive_lag_seconds", "seconds")
FAILED_RUNS: Final = Quantity("failed_runs", "runs", alerts=False)
FAILING_CHECKS: Final = Quantity("failing_checks", "checks", alerts=False)
STALE_ASSETS: Final = Quantity("stale_assets", "assets", alerts=False)
OPEN_BREAKERS: Final = Quantity("open_breakers", "breakers", alerts=False)

QUANTITIES: Final = (
    DUE_DECISION,
    OPEN_INTENT,
    RELAYED_TRANSACTION,
    CONFIRMED_LAG,
    CONFIRMED_SLOTS,
    FINALIZED_LAG,
    FINALIZED_SLOTS,
    DELIVERY,
    JOB_OVERDUE,
    BACKUP_AGE,
    ARCHIVE_LAG,
    FAILED_RUNS,
    FAILING_CHECKS,
    STALE_ASSETS,
    OPEN_BREAKERS,
)


class Service(msgspec.Struct, frozen=True):
    """A group of quantities under a name that clients know.

    Attributes:
        name: The name.
        main: The quantity whose threshold ``down`` is the service's deadline.
        actions: The actions that it submits.
        jobs: Its jobs, each with the interval of its schedule; None where it runs only on demand.
        breakers: Prefix of the names of its circuit breakers.
    """

    name: str
    main: Quantity
    actions: tuple[str, ...] = ()
    jobs: Mapping[str, timedelta | None] = {}
    breakers: str | None = None


SERVICES: Final[Mapping[str, Service]] = {
    service.name: service
    for service in (
        Service(
            "event-indexer",
            CONFIRMED_LAG,
            jobs={
                "read_finalized_window": timedelta(minutes=1),
                "process_deliveries": None,
                "backfill_slots": None,
            },
            breakers="rpc:",
        ),
        Service(
            "vote-aggregator",
            DUE_DECISION,
            actions=("aggregate_proposal_votes", "approve_proposal", "activate_market"),
            jobs={"aggregate_votes": timedelta(minutes=5)},
        ),
        Service(
            "market-monitor",
            DUE_DECISION,
            actions=("resolve_market", "finalize_market"),
            jobs={"finalize_markets": timedelta(minutes=5)},
        ),
        Service(
            "pipelines",
            JOB_OVERDUE,
            jobs={
                "reconcile": timedelta(minutes=10),
                "refresh_statistics": None,
                "relay_transactions": None,
                "snapshot_discussions": None,
                "back_up": None,
                "clean_up": timedelta(days=1),
            },
        ),
    )
}
JOBS: Final = tuple(job for service in SERVICES.values() for job in service.jobs)


class Measurement(msgspec.Struct, frozen=True):
    """One value of a quantity.

    Attributes:
        service: The service it belongs to.
        quantity: What was measured.
        value: In the quantity's unit; None where it could not be measured. Of an age it is
            computed from ``since``.
        since: Of an age, the moment from which it counts; None: from the system's start. Of a
            count, when the first of what it counts began.
        allowed: Seconds of an age that are as they should be: the interval of a schedule.
        cause: What it was measured on, for people.
        detail: Further facts, as JSON values.
    """

    service: str
    quantity: Quantity
    value: float | None = None
    since: datetime | None = None
    allowed: float = 0.0
    cause: str | None = None
    detail: Mapping[str, Any] = {}


class QuantityHealth(msgspec.Struct, frozen=True):
    """A quantity against its thresholds; ``since`` and ``cause`` as measured."""

    service: str
    name: str
    value: float | None
    unit: Unit
    degraded: int
    down: int
    state: State
    since: datetime | None
    cause: str | None
    detail: Mapping[str, Any]


def age(service: str, quantity: Quantity, since: datetime | None, **more: Any) -> Measurement:
    """Return the measurement of work that has been owed since then, or since the start."""
    return Measurement(service, quantity, None, since, **more)


def nothing_owed(service: str, quantity: Quantity, **more: Any) -> Measurement:
    """Return the measurement of an age where no work is owed."""
    return Measurement(service, quantity, 0.0, **more)


def judge(value: float, threshold: Threshold) -> State:
    """Return the state of a value."""
    if value >= threshold.down:
        return "down"
    return "degraded" if value >= threshold.degraded else "ok"


def evaluate(
    measured: Measurement, threshold: Threshold, *, now: datetime, started_at: datetime
) -> QuantityHealth:
    """Compare a measurement with its threshold."""
    uptime = max(0.0, (now - started_at).total_seconds())
    is_age = measured.quantity.unit == "seconds" and measured.value is None
    value = measured.value
    if is_age:
        since = measured.since or started_at
        passed = max(0.0, (now - since).total_seconds())
        value = max(0.0, passed - measured.allowed)
        state = _state(value, max(0.0, min(passed, uptime) - measured.allowed), threshold)
        unfinished = measured.since is None or measured.since < started_at
        if state == "ok" and measured.quantity.continuous and unfinished:
            state = "starting"
    elif value is None:
        state = "ok"
    else:
        state = _state(value, 0.0 if uptime < START_SECONDS else value, threshold)
    return QuantityHealth(
        service=measured.service,
        name=measured.quantity.name,
        value=None if value is None else round(value, 1),
        unit=measured.quantity.unit,
        degraded=threshold.degraded,
        down=threshold.down,
        state=state,
        since=None if measured.since is None else measured.since.astimezone(UTC),
        cause=measured.cause,
        detail=measured.detail,
    )


def _state(value: float, since_start: float, threshold: Threshold) -> State:
    """Return the state of a value of which only ``since_start`` arose since the start."""
    state = judge(since_start, threshold)
    return "starting" if state == "ok" and judge(value, threshold) != "ok" else state


def worst(states: tuple[State, ...]) -> State:
    """Return the worst of these states; ``idle`` without any."""
    return min(states, key=WORST_FIRST.index, default="idle")
