"""The whole of a night's backup: take it, verify it, record it, delete those past retention."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import psycopg
from sqlalchemy import Engine

from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.manifest import Manifest, encode
from zmart_pipelines.backup.names import backup_name
from zmart_pipelines.backup.stored_backups import BackupStore, open_store
from zmart_pipelines.backup.taking import take_backup
from zmart_pipelines.backup.verification import verify_backup
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import MissingLogin
from zmart_pipelines.store.queries.backups import BackupRow, mark_deleted, record_backup


class TakenBackup(msgspec.Struct, frozen=True):
    """A verified backup.

    Attributes:
        manifest: What it contains.
        row: Its row in ``ops.backups``.
        taking_seconds: How long taking it took.
        verifying_seconds: How long restoring and comparing it took.
        deleted: Names of the backups that were deleted because they are past their retention.
    """

    manifest: Manifest
    row: BackupRow
    taking_seconds: float
    verifying_seconds: float
    deleted: tuple[str, ...]


def now_utc() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)


def back_up(
    settings: Settings,
    pipelines: Engine,
    *,
    clock: Callable[[], datetime] = now_utc,
    retention_as_of: datetime | None = None,
) -> TakenBackup:
    """Take a backup, verify it, and delete those past their retention.

    A failure is recorded in ``ops.backups`` before it is raised.

    Args:
        settings: Target, key, retention, and the login for backups.
        pipelines: Writes ``ops.backups``.
        clock: Returns the time.
        retention_as_of: As of when the age of backups is judged, UTC; None: the end of this one.

    Raises:
        BackupError: It could not be taken or is not good. Nothing was deleted.
    """
    with open_store(settings) as store:
        began = clock()
        try:
            manifest = take_backup(settings, store, began)
            taken = clock()
            verification = verify_backup(settings, store, manifest.name, taken)
        except (BackupError, MissingLogin, psycopg.Error, OSError) as error:
            failed = BackupRow(
                name=backup_name(began),
                target=store.target.label,
                taken_at=began,
                finished_at=clock(),
                error=str(error),
            )
            with pipelines.begin() as conn:
                record_backup(conn, failed)
            raise BackupError(str(error)) from error
        finished = clock()
        row = verified_row(store, manifest, finished)
        with pipelines.begin() as conn:
            record_backup(conn, row)
        deleted = delete_expired(
            settings, store, pipelines, as_of=retention_as_of or finished, now=finished
        )
    return TakenBackup(
        manifest=manifest,
        row=row,
        taking_seconds=(taken - began).total_seconds(),
        verifying_seconds=(finished - verification.verified_at).total_seconds(),
        deleted=deleted,
    )


def verified_row(store: BackupStore, manifest: Manifest, verified_at: datetime) -> BackupRow:
    """Return the row of a backup that was found good."""
    return BackupRow(
        name=manifest.name,
        target=store.target.label,
        taken_at=manifest.taken_at,
        finished_at=verified_at,
        verified_at=verified_at,
        bytes=manifest.bytes,
        rows=manifest.rows,
        sha256=hashlib.sha256(encode(manifest)).hexdigest(),
        lsn=manifest.lsn,
    )


def delete_expired(
    settings: Settings, store: BackupStore, pipelines: Engine, *, as_of: datetime, now: datetime
) -> tuple[str, ...]:
    """Delete the backups past their retention, record it, and return their names.

    Args:
        settings: Have the days.
        store: Holds the backups.
        pipelines: Writes ``ops.backups``.
        as_of: When the age of backups is judged, UTC.
        now: When they are deleted, UTC.
    """
    names = tuple(one.name for one in store.delete_expired(as_of, settings.backup_keep_days))
    if names:
        with pipelines.begin() as conn:
            mark_deleted(conn, names, now)
    return names
