"""Which slots have been read completely, and where the readers stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from psycopg.types.range import Range
from sqlalchemy import BigInteger, Connection, delete, func, insert, or_, select
from sqlalchemy.dialects.postgresql import INT8RANGE
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql import literal

from zmart_pipelines.store.locks import COVERAGE, lock
from zmart_pipelines.store.tables import chain

Reader = Literal["confirmed", "finalized"]

_coverage = chain.coverage
_cursors = chain.cursors


def read_cursor(conn: Connection, reader: Reader) -> int | None:
    """The last slot that the reader has read (inclusive); None before the first time."""
    return conn.execute(
        select(_cursors.c.slot).where(_cursors.c.name == reader)
    ).scalar_one_or_none()


def advance_cursor(conn: Connection, reader: Reader, slot: int) -> None:
    """Move a reader's cursor; it never goes back. Also notes that it has looked just now."""
    statement = upsert(_cursors).values(name=reader, slot=slot)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=[_cursors.c.name],
            set_={
                "slot": func.greatest(_cursors.c.slot, statement.excluded.slot),
                "updated_at": func.now(),
            },
        )
    )


def record_coverage(conn: Connection, first_slot: int, last_slot: int) -> None:
    """Record that all slots from first to last were read; touching ranges become one."""
    lock(conn, COVERAGE)
    new = literal(Range(first_slot, last_slot + 1), INT8RANGE)
    touching = or_(
        _coverage.c.slots.op("&&")(new),
        _coverage.c.slots.op("-|-")(new),
    )
    gone = conn.execute(delete(_coverage).where(touching).returning(_coverage.c.slots)).scalars()
    ranges = [*gone, Range(first_slot, last_slot + 1)]
    union = Range(min(one.lower for one in ranges), max(one.upper for one in ranges))
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
    """What of first to last was not read completely, as (first, last) in order."""
    asked = literal(Range(first_slot, last_slot + 1), INT8RANGE)
    ranges = conn.execute(
        select(_coverage.c.slots)
        .where(_coverage.c.slots.op("&&")(asked))
        .order_by(func.lower(_coverage.c.slots))
    ).scalars()
    return subtract_ranges([(one.lower, one.upper) for one in ranges], first_slot, last_slot)


def subtract_ranges(
    ranges: Iterable[tuple[int, int]], first_slot: int, last_slot: int
) -> list[tuple[int, int]]:
    """What of first to last, inclusive, lies in none of the ranges [start, end).

    :param ranges: in order, each touching what is asked for.
    """
    holes = []
    reached = first_slot
    for start, end in ranges:
        if start > reached:
            holes.append((reached, start - 1))
        reached = end
    if reached <= last_slot:
        holes.append((reached, last_slot))
    return holes
