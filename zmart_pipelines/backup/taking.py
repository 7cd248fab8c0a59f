"""Take a backup: dump and manifest of one snapshot, roles, and pinned files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from zmart_pipelines.backup.client_programs import client_programs, reading_from
from zmart_pipelines.backup.manifest import Manifest, StoredFile, encode
from zmart_pipelines.backup.names import DUMP, MANIFEST, PINS, ROLES, backup_name
from zmart_pipelines.backup.pinned_files import pinned_cids, write_archive
from zmart_pipelines.backup.stored_backups import BackupStore
from zmart_pipelines.backup.table_contents import (
    NOT_BACKED_UP,
    SESSION_OPTIONS,
    read_contents,
    require_all_rows_visible,
)
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, libpq_url, liveness_options, login_url


def take_backup(settings: Settings, store: BackupStore, now: datetime) -> Manifest:
    """Back up the database and the pinned files, and return the manifest.

    The manifest is stored after everything else: a backup without one is not complete.

    Raises:
        BackupError: A program is missing or failed, the target cannot be written, or row-level
            security hides rows.
        MissingLogin: The settings have no login for backups.
    """
    programs, url = client_programs(settings), login_url(Role.BACKUP, settings)
    name = backup_name(now)
    files: dict[str, StoredFile] = {}
    options = liveness_options(settings)
    with psycopg.connect(
        make_conninfo(libpq_url(url), options=SESSION_OPTIONS, **options),
        application_name="zmart-backup",
    ) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        require_all_rows_visible(conn)
        (snapshot,) = _one(conn, "SELECT pg_export_snapshot()")
        (lsn,) = _one(conn, "SELECT pg_current_wal_lsn()::text")
        (revision,) = _one(conn, "SELECT version_num FROM public.schema_version")
        version = conn.info.parameter_status("server_version") or "unknown"
        files[DUMP] = store.add(name, DUMP, partial(_dump, store, programs, url, snapshot))
        tables = read_contents(conn)
    files[ROLES] = store.add(name, ROLES, partial(_roles, store, programs, url))
    cids: list[str] = []
    folder = settings.zmart_state / "ipfs"
    files[PINS] = store.add(name, PINS, partial(_pins, store, folder, cids.extend))
    manifest = Manifest(
        name=name,
        taken_at=now,
        encrypted=store.cipher.encrypts,
        server_version=version,
        revision=revision,
        lsn=lsn,
        program_id=settings.program_id,
        tables=tables,
        cids=tuple(cids),
        files=files,
    )
    store.add(name, MANIFEST, partial(_document, store, encode(manifest)))
    return manifest


def _one(conn: psycopg.Connection, statement: str) -> tuple[str, ...]:
    row = conn.execute(statement.encode()).fetchone()
    if row is None:
        raise RuntimeError(f"no row: {statement}")
    return row


def _dump(store: BackupStore, programs: Path, url: str, snapshot: str, target: IO[bytes]) -> None:
    command: list[str | Path] = [
        *(programs / "pg_dump", "--format=custom", "--enable-row-security"),
        *(f"--snapshot={snapshot}", "--lock-wait-timeout=60s"),
        *(f"--exclude-table={schema}.*" for schema in NOT_BACKED_UP),
    ]
    with reading_from(command, url) as source:
        store.cipher.encrypt(source, target)


def _roles(store: BackupStore, programs: Path, url: str, target: IO[bytes]) -> None:
    database = str(make_url(url).database)
    command: list[str | Path] = [
        programs / "pg_dumpall",
        "--roles-only",
        "--no-role-passwords",
        "-l",
        database,
    ]
    with reading_from(command, url) as source:
        store.cipher.encrypt(source, target)


def _pins(
    store: BackupStore, folder: Path, found: Callable[[tuple[str, ...]], None], target: IO[bytes]
) -> None:
    with TemporaryFile() as archive:
        found(write_archive(folder, pinned_cids(folder), archive))
        archive.seek(0)
        store.cipher.encrypt(archive, target)


def _document(store: BackupStore, data: bytes, target: IO[bytes]) -> None:
    store.cipher.encrypt(BytesIO(data), target)
