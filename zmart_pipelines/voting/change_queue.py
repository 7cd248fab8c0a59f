"""The queue of changed votes and market states, which scans read instead of all markets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from zmart_pipelines.store.tables import voting as tables
from zmart_pipelines.voting import tally_statements
from zmart_pipelines.voting.ballot import Kind

_changes = tables.change_queue

# A change of the vote of this kind, or of the market's state.
Subject: TypeAlias = Kind | Literal["state"]


def enqueue(conn: Connection, market_id: bytes, kind: Kind) -> None:
    """Enqueue a change of this vote."""
    conn.execute(insert(_changes).values(market_id=market_id, kind=kind))


def pending(conn: Connection, kind: Subject) -> dict[bytes, list[int]]:
    """Return the markets with queued changes of this kind, each with its entries, newest first."""
    newest_first = aggregate_order_by(_changes.c.id, _changes.c.id.desc())
    rows = conn.execute(
        select(_changes.c.market_id, func.array_agg(newest_first))
        .where(_changes.c.kind == kind)
        .group_by(_changes.c.market_id)
    )
    return {row[0]: list(row[1]) for row in rows}


def oldest(conn: Connection, kind: Subject) -> dict[bytes, datetime]:
    """Return the markets with queued changes of this kind, each with the time of its oldest."""
    rows = conn.execute(
        select(_changes.c.market_id, func.min(_changes.c.enqueued_at))
        .where(_changes.c.kind == kind)
        .group_by(_changes.c.market_id)
    )
    return {row[0]: row[1] for row in rows}


def dequeue(conn: Connection, numbers: Sequence[int]) -> None:
    """Delete exactly these entries; entries that were added since they were read stay."""
    if numbers:
        conn.execute(tally_statements.DEQUEUE, {"numbers": list(numbers)})
