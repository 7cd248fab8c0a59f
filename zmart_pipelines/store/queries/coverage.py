"""Which slots the ledger was proved complete for, and what is known to be missing."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import chain

_coverage = chain.coverage
_gaps = chain.gaps


class CoverageSummary(msgspec.Struct, frozen=True):
    """The covered ranges together. Slots are inclusive, and None before anything was covered.

    Attributes:
        ranges: How many there are; slots between two of them are not covered.
        covered_slots: The sum of their lengths.
    """

    ranges: int
    first_slot: int | None
    last_slot: int | None
    covered_slots: int


def coverage_summary(conn: Connection) -> CoverageSummary:
    """Sum up the covered ranges."""
    first, end = func.lower(_coverage.c.slots), func.upper(_coverage.c.slots)
    statement = select(
        func.count().label("ranges"),
        func.min(first).label("first_slot"),
        (func.max(end) - 1).label("last_slot"),
        func.coalesce(func.sum(end - first), 0).label("covered_slots"),
    )
    return many(CoverageSummary, conn.execute(statement))[0]


class Interval(msgspec.Struct, frozen=True):
    """Slots from first to last, inclusive."""

    first_slot: int
    last_slot: int


def uncovered_intervals(conn: Connection, *, limit: int) -> list[Interval]:
    """Return the intervals between covered ranges, the newest first."""
    first, end = func.lower(_coverage.c.slots), func.upper(_coverage.c.slots)
    following = (
        select(
            end.label("first_slot"),
            (func.lead(first).over(order_by=first) - 1).label("last_slot"),
        )
    ).subquery()
    statement = (
        select(following)
        .where(following.c.last_slot.isnot(None))
        .order_by(following.c.first_slot.desc())
        .limit(limit)
    )
    return many(Interval, conn.execute(statement))


class OpenGaps(msgspec.Struct, frozen=True):
    """The open gaps of one kind."""

    kind: str
    gaps: int
    oldest_at: datetime


def open_gaps_by_kind(conn: Connection) -> list[OpenGaps]:
    """Return how many gaps are open, by kind, and when the oldest was opened."""
    statement = (
        select(
            _gaps.c.kind,
            func.count().label("gaps"),
            func.min(_gaps.c.opened_at).label("oldest_at"),
        )
        .where(_gaps.c.closed_at.is_(None))
        .group_by(_gaps.c.kind)
        .order_by(_gaps.c.kind)
    )
    return many(OpenGaps, conn.execute(statement))


class Gap(msgspec.Struct, frozen=True):
    """What is known to be missing, or was; see ``store.tables.chain.gaps``."""

    id: int
    signature: bytes
    kind: str
    slot: int | None
    reason: str
    attempts: int
    opened_at: datetime
    retry_at: datetime
    closed_at: datetime | None


NEWEST_GAPS: Final = Order("gaps", (KeyColumn("id", _gaps.c.id, True),))


def find_gaps(
    conn: Connection,
    *,
    kind: str | None = None,
    is_open: bool | None = None,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Gap]:
    """Return a page of gaps, the newest first.

    Args:
        is_open: None: open and closed ones.
        after: Key in ``NEWEST_GAPS`` of the last row of the page before.
    """
    statement = select(*(_gaps.c[name] for name in Gap.__struct_fields__))
    if kind is not None:
        statement = statement.where(_gaps.c.kind == kind)
    if is_open is not None:
        closed = _gaps.c.closed_at
        statement = statement.where(closed.is_(None) if is_open else closed.isnot(None))
    page = NEWEST_GAPS.page(statement, after=after, limit=limit, offset=offset)
    return many(Gap, conn.execute(page))
