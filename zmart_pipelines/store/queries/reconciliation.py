"""The history of reconciliations and of repairs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import ops
from zmart_pipelines.store.tables.reconciliation import reconciliations, repairs


class Reconciliation(msgspec.Struct, frozen=True):
    """One reconciliation; the counts are fields that differed, by class."""

    id: int
    reconciled_at: datetime
    market_slot: int
    position_slot: int
    covered_slot: int | None
    markets: int
    positions: int
    in_flight: int
    lag: int
    missing_event: int
    decode_error: int
    drift: int


def recent_reconciliations(conn: Connection, within: timedelta) -> list[Reconciliation]:
    """Return the reconciliations within this time, oldest first."""
    columns = [reconciliations.c[name] for name in Reconciliation.__struct_fields__]
    statement = select(*columns).where(reconciliations.c.reconciled_at > func.now() - within)
    return many(Reconciliation, conn.execute(statement.order_by(reconciliations.c.id)))


NEWEST: Final = Order("reconciliations", (KeyColumn("id", reconciliations.c.id, True),))


def find_reconciliations(
    conn: Connection, *, after: Key | None = None, limit: int = 50, offset: int = 0
) -> list[Reconciliation]:
    """Return a page of reconciliations, newest first.

    Args:
        after: Key in ``NEWEST`` of the last row of the page before.
    """
    columns = [reconciliations.c[name] for name in Reconciliation.__struct_fields__]
    statement = NEWEST.page(select(*columns), after=after, limit=limit, offset=offset)
    return many(Reconciliation, conn.execute(statement))


class Difference(msgspec.Struct, frozen=True):
    """A field in which fold and account differ (``user`` set for a position's), or differed."""

    id: int
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
    cleared_at: datetime | None


NEWEST_DIFFERENCES: Final = Order("differences", (KeyColumn("id", ops.differences.c.id, True),))


def find_differences(
    conn: Connection,
    *,
    is_open: bool | None = None,
    market_id: bytes | None = None,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Difference]:
    """Return a page of differences, the newest first.

    Args:
        is_open: Whether the last comparison still found it; None: either.
        after: Key in ``NEWEST_DIFFERENCES`` of the last row of the page before.
    """
    table = ops.differences
    statement = select(table, table.c["class"].label("class_"))
    if is_open is not None:
        cleared = table.c.cleared_at
        statement = statement.where(cleared.is_(None) if is_open else cleared.isnot(None))
    if market_id is not None:
        statement = statement.where(table.c.market_id == market_id)
    page = NEWEST_DIFFERENCES.page(statement, after=after, limit=limit, offset=offset)
    return many(Difference, conn.execute(page))


def open_differences_by_class(conn: Connection) -> dict[str, int]:
    """Return how many differences are open, by class; classes without one are absent."""
    table = ops.differences
    rows = conn.execute(
        select(table.c["class"], func.count())
        .where(table.c.cleared_at.is_(None))
        .group_by(table.c["class"])
    )
    return {row[0]: row[1] for row in rows}


class ClearedDifference(msgspec.Struct, frozen=True):
    """A difference that no longer exists; ``folded`` and ``chain`` are its last values."""

    market_id: bytes
    user: bytes | None
    field: str
    folded: str | None
    chain: str | None
    class_: str
    occurrences: int
    first_seen_at: datetime
    cleared_at: datetime


def cleared_differences(conn: Connection, *, limit: int = 10) -> list[ClearedDifference]:
    """Return the differences cleared last, newest first."""
    table = ops.differences
    statement = (
        select(table, table.c["class"].label("class_"))
        .where(table.c.cleared_at.isnot(None))
        .order_by(table.c.cleared_at.desc(), table.c.id.desc())
    )
    return many(ClearedDifference, conn.execute(statement.limit(limit)))


class Repair(msgspec.Struct, frozen=True):
    """A repair of one market; see ``store.tables.reconciliation``."""

    market_id: bytes
    repaired_at: datetime
    scope: str
    listed: int
    read: int
    unread: int
    contradicted: int
    new_transactions: int
    new_events: int
    refolded: bool


def latest_repairs(conn: Connection, *, limit: int = 10) -> list[Repair]:
    """Return the last repairs, newest first."""
    columns = [repairs.c[name] for name in Repair.__struct_fields__]
    return many(Repair, conn.execute(select(*columns).order_by(repairs.c.id.desc()).limit(limit)))
