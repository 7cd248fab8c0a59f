"""Facts that data checks judge: holes, overdue quarantine, intents that stay open."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.tables.chain import coverage, events, gaps
from zmart_pipelines.store.tables.ops import intents

LISTED = 20


class Hole(msgspec.Struct, frozen=True):
    """Slots ``first`` to ``last``, both within what was read around them, never read."""

    first: int
    last: int


class Gap(msgspec.Struct, frozen=True):
    """A transaction known to be missing, or read incompletely."""

    signature: bytes
    slot: int | None
    reason: str
    attempts: int
    opened_at: datetime


class Quarantined(msgspec.Struct, frozen=True):
    """An event line that no decoder took."""

    signature: bytes
    log_index: int
    slot: int
    reason: str
    seen_at: datetime


class OpenIntent(msgspec.Struct, frozen=True):
    """Something owed to the chain for longer than it should be."""

    id: int
    market_id: bytes
    action: str
    status: str
    failures: int
    reason: str | None
    created_at: datetime


def holes(conn: Connection) -> list[Hole]:
    """Ranges between two covered ones that nobody has read, the oldest first."""
    following = func.lead(func.lower(coverage.c.slots)).over(order_by=coverage.c.slots)
    ranges = select(func.upper(coverage.c.slots).label("end"), following.label("start")).subquery()
    rows = conn.execute(
        select(ranges.c.end, ranges.c.start)
        .where(ranges.c.start > ranges.c.end)
        .order_by(ranges.c.end)
    )
    return [Hole(first=end, last=start - 1) for end, start in rows]


def open_gaps(conn: Connection, older_than: timedelta) -> list[Gap]:
    """Gaps opened longer ago than ``older_than`` and not closed, the oldest ``LISTED``."""
    rows = conn.execute(
        select(gaps.c.signature, gaps.c.slot, gaps.c.reason, gaps.c.attempts, gaps.c.opened_at)
        .where(gaps.c.closed_at.is_(None), gaps.c.opened_at < func.now() - older_than)
        .order_by(gaps.c.opened_at)
        .limit(LISTED)
    )
    return [Gap(*row) for row in rows]


def quarantined(conn: Connection, older_than: timedelta) -> list[Quarantined]:
    """Lines in quarantine for longer than ``older_than``, the oldest ``LISTED``."""
    rows = conn.execute(
        select(
            events.c.signature,
            events.c.log_index,
            events.c.slot,
            events.c.quarantine_reason,
            events.c.seen_at,
        )
        .where(
            events.c.quarantine_reason.is_not(None),
            events.c.commitment != "orphaned",
            events.c.seen_at < func.now() - older_than,
        )
        .order_by(events.c.seen_at)
        .limit(LISTED)
    )
    return [Quarantined(*row) for row in rows]


def open_intents(conn: Connection, older_than: timedelta) -> list[OpenIntent]:
    """Intents neither done nor given up after ``older_than``, the oldest ``LISTED``."""
    rows = conn.execute(
        select(
            intents.c.id,
            intents.c.market_id,
            intents.c.action,
            intents.c.status,
            intents.c.failures,
            intents.c.reason,
            intents.c.created_at,
        )
        .where(
            intents.c.status.in_(("planned", "live")),
            intents.c.created_at < func.now() - older_than,
        )
        .order_by(intents.c.created_at)
        .limit(LISTED)
    )
    return [OpenIntent(*row) for row in rows]
