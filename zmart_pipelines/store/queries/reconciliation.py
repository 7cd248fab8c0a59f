"""The history of reconciliations and of repairs."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import ops
from zmart_pipelines.store.tables.reconciliation import reconciliations, repairs


class Reconciliation(msgspec.Struct, frozen=True):
    """One reconciliation; the counts are fields that differed, by class."""

    reconciled_at: datetime
    market_slot: int
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
