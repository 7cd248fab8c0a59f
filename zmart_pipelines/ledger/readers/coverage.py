"""Which slots have been read completely, and the cursors of the readers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Literal

from psycopg.types.range import Range
from sqlalchemy import BigInteger, Connection, delete, func, insert, or_, select
from sqlalchemy.dialects.postgresql import INT8RANGE
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql import literal

from zmart_pipelines.store.locks import COVERAGE, lock
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import chain

Reader = Literal["confirmed", "finalized"]

_coverage = chain.coverage
_cursors = chain.cursors


def read_cursor(conn: Connection, reader: Reader) -> int | None:
    """Return the last slot that the reader has read (inclusive); None before its first read."""
    return conn.execute(
        select(_cursors.c.slot).where(_cursors.c.name == reader)
    ).scalar_one_or_none()


def advance_cursor(
    conn: Connection, reader: Reader, slot: int, *, tip_age: float | None = None
) -> None:
    """Advance a reader's cursor, never backwards, and set the time of its last read to now.

    Args:
        conn: The transaction.
        reader: Whose cursor.
        slot: The last slot read.
        tip_age: Seconds since the cluster's tip stood at ``slot``, from which the lag is measured;
            None where the tip was further, so that the lag goes on growing.
    """
    reached = None if tip_age is None else func.clock_timestamp() - timedelta(seconds=tip_age)
    statement = upsert(_cursors).values(name=reader, slot=slot, reached_at=reached)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=[_cursors.c.name],
            set_={
                "slot": func.greatest(_cursors.c.slot, statement.excluded.slot),
                "updated_at": func.now(),
                # Greatest ignores nulls.
                "reached_at": func.greatest(_cursors.c.reached_at, statement.excluded.reached_at),
            },
        )
    )


def record_coverage(conn: Connection, first_slot: int, last_slot: int) -> None:
    """Record that all slots from first to last were read; adjacent ranges are merged."""
    lock(conn, COVERAGE)
    new = literal(Range(first_slot, last_slot + 1), INT8RANGE)
    touching = or_(
        _coverage.c.slots.op("&&")(new),
        _coverage.c.slots.op("-|-")(new),
    )
    deleted = conn.execute(delete(_coverage).where(touching).returning(_coverage.c.slots))
    ranges = [*deleted.scalars(), Range(first_slot, last_slot + 1)]
    union = Range(min(range_.lower for range_ in ranges), max(range_.upper for range_ in ranges))
    conn.execute(insert(_coverage).values(slots=union))


def is_covered(conn: Connection, slot: int) -> bool:
    """Whether the slot was read completely at finalized."""
    return (
        conn.execute(
            select(_coverage.c.id).where(_coverage.c.slots.op("@>")(literal(slot, BigInteger)))
        ).first()
        is not None
    )


def uncovered_within(conn: Connection, first_slot: int, last_slot: int) -> list[tuple[int, int]]:
    """Return the uncovered ranges within first to last, as (first, last) in order."""
    asked = literal(Range(first_slot, last_slot + 1), INT8RANGE)
    ranges = conn.execute(
        select(_coverage.c.slots)
        .where(_coverage.c.slots.op("&&")(asked))
        .order_by(func.lower(_coverage.c.slots))
    ).scalars()
    return subtract_ranges(
        [(range_.lower, range_.upper) for range_ in ranges], first_slot, last_slot
    )


def uncovered_ranges(conn: Connection) -> list[tuple[int, int]]:
    """Return the uncovered ranges between covered ones, as (first, last) in order."""
    return [
        (covered.last_slot + 1, following.first_slot - 1)
        for covered, following in pairwise(health.coverage(conn))
    ]


def split_ranges(
    ranges: Iterable[tuple[int, int]], size: int, *, limit: int
) -> list[tuple[int, int]]:
    """Split ranges at multiples of ``size`` slots; return the first ``limit`` parts."""
    parts: list[tuple[int, int]] = []
    for first, last in ranges:
        start = first
        while start <= last and len(parts) < limit:
            end = min(last, start - start % size + size - 1)
            parts.append((start, end))
            start = end + 1
    return parts


def subtract_ranges(
    ranges: Iterable[tuple[int, int]], first_slot: int, last_slot: int
) -> list[tuple[int, int]]:
    """Return what of first to last, inclusive, lies in none of the ranges [start, end).

    Args:
        ranges: in order, each overlapping first to last.
    """
    uncovered = []
    reached = first_slot
    for start, end in ranges:
        if start > reached:
            uncovered.append((reached, start - 1))
        reached = end
    if reached <= last_slot:
        uncovered.append((reached, last_slot))
    return uncovered
