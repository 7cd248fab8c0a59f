"""How complete and how fresh the ledger is."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select, text

from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables import chain, ops


class LedgerLag(msgspec.Struct, frozen=True):
    """Where the ledger stands. Slots are None before anything was read.

    Attributes:
        latest_slot: Of any transaction that is not orphaned.
        finalized_slot: End (inclusive) of the coverage that the finalized cursor stands on.
        confirmed_slot: Last slot of the confirmed poll.
        uncovered_ranges: Ranges between the covered ones.
        gaps_by_kind: Open gaps, by their kind.
        last_finalized_at: When coverage last grew.
    """

    transactions: int
    events: int
    latest_slot: int | None
    confirmed_slot: int | None
    finalized_slot: int | None
    last_confirmed_at: datetime | None
    last_finalized_at: datetime | None
    reported: int
    confirmed: int
    uncovered_ranges: int
    gaps: int
    gaps_by_kind: dict[str, int]
    oldest_gap_at: datetime | None
    quarantined: int
    oldest_quarantined_at: datetime | None
    deliveries_waiting: int
    oldest_delivery_at: datetime | None
    unreadable_entries: int
    differences: int


_LAG = text(
    """
    SELECT
        (SELECT count(*) FROM chain.transactions WHERE commitment <> 'orphaned') AS transactions,
        (SELECT count(*) FROM chain.events WHERE commitment <> 'orphaned') AS events,
        (SELECT max(slot) FROM chain.transactions WHERE commitment <> 'orphaned') AS latest_slot,
        (SELECT slot FROM chain.cursors WHERE name = 'confirmed') AS confirmed_slot,
        (SELECT slot FROM chain.cursors WHERE name = 'finalized') AS finalized_slot,
        (SELECT updated_at FROM chain.cursors WHERE name = 'confirmed') AS last_confirmed_at,
        (SELECT updated_at FROM chain.cursors WHERE name = 'finalized') AS last_finalized_at,
        (SELECT count(*) FROM chain.transactions WHERE commitment = 'reported') AS reported,
        (SELECT count(*) FROM chain.transactions WHERE commitment = 'confirmed') AS confirmed,
        (SELECT greatest(count(*) - 1, 0) FROM chain.coverage) AS uncovered_ranges,
        (SELECT count(*) FROM chain.gaps WHERE closed_at IS NULL) AS gaps,
        (SELECT coalesce(jsonb_object_agg(kind, number), '{}') FROM (
            SELECT kind, count(*) AS number FROM chain.gaps
            WHERE closed_at IS NULL GROUP BY kind) AS open) AS gaps_by_kind,
        (SELECT min(opened_at) FROM chain.gaps WHERE closed_at IS NULL) AS oldest_gap_at,
        (SELECT count(*) FROM chain.events
            WHERE quarantine_reason IS NOT NULL AND commitment <> 'orphaned') AS quarantined,
        (SELECT min(first_seen_at) FROM chain.events
            WHERE quarantine_reason IS NOT NULL AND commitment <> 'orphaned')
            AS oldest_quarantined_at,
        (SELECT count(*) FROM chain.deliveries WHERE status <> 'ingested') AS deliveries_waiting,
        (SELECT min(received_at) FROM chain.deliveries WHERE status <> 'ingested')
            AS oldest_delivery_at,
        (SELECT coalesce(sum(unreadable_count), 0) FROM chain.deliveries
            WHERE unreadable_count > 0 AND received_at > now() - interval '1 day')
            AS unreadable_entries,
        (SELECT count(*) FROM ops.differences
            WHERE cleared_at IS NULL AND class IN ('missing_event', 'decode_error', 'drift'))
            AS differences
    """
)


def ledger_lag(conn: Connection) -> LedgerLag:
    """Where the ledger stands now."""
    return one(LedgerLag, conn.execute(_LAG).one())


def confirmed_slot(conn: Connection) -> int | None:
    """Return the last slot of the confirmed poll; None before the first. One statement."""
    cursors = chain.cursors
    return conn.execute(
        select(cursors.c.slot).where(cursors.c.name == "confirmed")
    ).scalar_one_or_none()


def poll_times(conn: Connection) -> dict[str, datetime]:
    """Return when each poll (``confirmed``, ``finalized``) had last read up to the tip."""
    cursors = chain.cursors
    rows = conn.execute(
        select(cursors.c.name, cursors.c.reached_at).where(
            cursors.c.name.in_(("confirmed", "finalized")), cursors.c.reached_at.isnot(None)
        )
    )
    return {row.name: row.reached_at for row in rows}


def newest_slot(conn: Connection) -> int:
    """Return the newest slot that any reader or webhook has reached (0: none)."""
    cursors, transactions = chain.cursors, chain.transactions
    read = conn.execute(
        select(func.max(cursors.c.slot)).where(cursors.c.name.in_(("confirmed", "finalized")))
    ).scalar_one()
    stored = conn.execute(
        select(transactions.c.slot)
        .where(transactions.c.commitment != "orphaned")
        .order_by(transactions.c.slot.desc())
        .limit(1)
    ).scalar_one_or_none()
    return max(read or 0, stored or 0)


class Coverage(msgspec.Struct, frozen=True):
    """A slot range read completely at finalized; both ends inclusive."""

    first_slot: int
    last_slot: int
    covered_at: datetime


def coverage(conn: Connection) -> list[Coverage]:
    """Return the covered ranges in order; slots between two of them are not covered."""
    statement = select(
        func.lower(chain.coverage.c.slots).label("first_slot"),
        (func.upper(chain.coverage.c.slots) - 1).label("last_slot"),
        chain.coverage.c.covered_at,
    ).order_by(func.lower(chain.coverage.c.slots))
    return many(Coverage, conn.execute(statement))


class Gap(msgspec.Struct, frozen=True):
    """What is known to be missing."""

    id: int
    signature: bytes
    kind: str
    slot: int | None
    reason: str
    attempts: int
    opened_at: datetime
    retry_at: datetime


def gaps(conn: Connection, *, limit: int = 100) -> list[Gap]:
    """Open gaps, the oldest first."""
    columns = [chain.gaps.c[name] for name in Gap.__struct_fields__]
    statement = select(*columns).where(chain.gaps.c.closed_at.is_(None))
    return many(Gap, conn.execute(statement.order_by(chain.gaps.c.id).limit(limit)))


class QuarantinedEvent(msgspec.Struct, frozen=True):
    """An event line that could not be decoded, with the reason."""

    signature: bytes
    log_index: int
    slot: int
    raw: bytes
    quarantine_reason: str
    commitment: str
    first_seen_at: datetime


def quarantined(conn: Connection, *, limit: int = 100) -> list[QuarantinedEvent]:
    """Quarantined events, the oldest first."""
    events = chain.events
    columns = [events.c[name] for name in QuarantinedEvent.__struct_fields__]
    statement = (
        select(*columns)
        .where(events.c.quarantine_reason.isnot(None), events.c.commitment != "orphaned")
        .order_by(events.c.first_seen_at, events.c.signature, events.c.log_index)
    )
    return many(QuarantinedEvent, conn.execute(statement.limit(limit)))


class EventCount(msgspec.Struct, frozen=True):
    """How many events of one name the ledger holds (None: quarantined)."""

    name: str | None
    events: int


def event_counts(conn: Connection) -> list[EventCount]:
    """Live events by name, the most frequent first."""
    events = chain.events
    statement = (
        select(events.c.name, func.count().label("events"))
        .where(events.c.commitment != "orphaned")
        .group_by(events.c.name)
        .order_by(func.count().desc(), events.c.name)
    )
    return many(EventCount, conn.execute(statement))


class Difference(msgspec.Struct, frozen=True):
    """A field in which fold and account differ (``user`` set for a position's)."""

    market_id: bytes
    user: bytes | None
    field: str
    folded: str | None
    chain: str | None
    class_: str
    slot: int
    occurrences: int
    first_seen_at: datetime
    last_seen_at: datetime


def differences(conn: Connection, *, limit: int = 1000) -> list[Difference]:
    """Differences that the last reconciliation still saw."""
    table = ops.differences
    statement = (
        select(table, table.c["class"].label("class_"))
        .where(table.c.cleared_at.is_(None))
        .order_by(table.c.id)
    )
    return many(Difference, conn.execute(statement.limit(limit)))
