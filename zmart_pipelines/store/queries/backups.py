"""Rows of ``ops.backups``: written by whoever takes backups, read for health and status."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.backups import backups


class BackupRow(msgspec.Struct, frozen=True):
    """A backup that was attempted; what could not be found out is None."""

    name: str
    target: str
    taken_at: datetime
    finished_at: datetime
    verified_at: datetime | None = None
    bytes: int | None = None
    rows: int | None = None
    sha256: str | None = None
    lsn: str | None = None
    error: str | None = None
    deleted_at: datetime | None = None


def record_backup(conn: Connection, row: BackupRow) -> None:
    """Insert the row, or replace the one of the same name, as a later verification does."""
    values = msgspec.structs.asdict(row)
    statement = insert(backups).values(values)
    conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def mark_deleted(conn: Connection, names: Collection[str], at: datetime) -> None:
    """Record that these backups were deleted."""
    conn.execute(
        update(backups)
        .where(backups.c.name.in_(names), backups.c.deleted_at.is_(None))
        .values(deleted_at=at)
    )


def newest_backups(conn: Connection, limit: int) -> list[BackupRow]:
    """Return the newest rows, newest first."""
    statement = select(backups).order_by(backups.c.taken_at.desc()).limit(limit)
    return many(BackupRow, conn.execute(statement))


def last_verified(conn: Connection) -> datetime | None:
    """Return when the newest verified backup was begun: what came later is not in it."""
    good = backups.c.verified_at.isnot(None) & backups.c.deleted_at.is_(None)
    found: datetime | None = conn.execute(select(func.max(backups.c.taken_at)).where(good)).scalar()
    return found
