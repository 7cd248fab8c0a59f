"""Verify a backup by restoring it into a temporary Postgres and comparing every table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psycopg

from zmart_pipelines.backup.client_programs import client_programs
from zmart_pipelines.backup.database_restore import restore_dump
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.manifest import Manifest, differences
from zmart_pipelines.backup.names import DUMP, PINS, ROLES
from zmart_pipelines.backup.pinned_files import read_archive
from zmart_pipelines.backup.stored_backups import BackupStore, Verification
from zmart_pipelines.backup.table_contents import SESSION_OPTIONS, read_contents
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresError, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import running_postgres
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.migrate import UnknownRevision, is_current, migrate

_SHOWN = 5  # differences that an error names


def verify_backup(settings: Settings, store: BackupStore, name: str, now: datetime) -> Verification:
    """Restore the backup, compare it with its manifest, migrate it, and mark it as verified.

    Everything happens in a Postgres of its own that is deleted afterwards; the one in use is not
    touched.

    Raises:
        BackupError: The backup is damaged, incomplete, or cannot be migrated.
    """
    manifest = store.manifest(name)
    programs = client_programs(settings)
    check_files(store, manifest)
    try:
        with running_postgres(logins=False, binaries=settings.postgres_bin) as server:
            restore_into(store, manifest, server.url(), programs)
            compare(manifest, server)
            _migrate(server)
    except (PostgresError, RuntimeError, psycopg.Error) as error:
        raise BackupError(f"backup {name} could not be verified: {error}") from error
    verification = Verification(now, len(manifest.tables), manifest.rows)
    store.mark_verified(name, verification)
    return verification


def check_files(store: BackupStore, manifest: Manifest) -> dict[str, bytes]:
    """Compare every file with the manifest, and return the pinned files.

    Raises:
        BackupError: A file is damaged or missing.
    """
    for name in (DUMP, ROLES):
        with store.open(manifest, name):
            pass  # opening compares its hash
    with store.open(manifest, PINS) as source:
        pins = _pinned_files(store, manifest, source)
    if missing := sorted(set(manifest.cids) ^ pins.keys()):
        raise BackupError(f"the archive of pinned files differs from the manifest: {missing[:3]}")
    return pins


def _pinned_files(store: BackupStore, manifest: Manifest, source: IO[bytes]) -> dict[str, bytes]:
    with TemporaryFile() as clear:
        store.cipher.decrypt(source, clear, encrypted=manifest.encrypted)
        clear.seek(0)
        return read_archive(clear)


def restore_into(store: BackupStore, manifest: Manifest, url: str, programs: Path) -> None:
    """Restore the dump into an empty database, as its owner.

    Raises:
        BackupError: It failed; the database may contain a part.
    """
    with store.open(manifest, DUMP) as source:

        def write(target: IO[bytes], /) -> None:
            store.cipher.decrypt(source, target, encrypted=manifest.encrypted)

        restore_dump(url, programs, write)


def compare(manifest: Manifest, server: PostgresServer) -> None:
    """Compare every table of a server's database with the manifest.

    Raises:
        BackupError: They differ.
    """
    # The superuser sees every row, whatever the policies say.
    url = server.url(user=SUPERUSER)
    with psycopg.connect(url, options=SESSION_OPTIONS) as conn:
        found = list(differences(manifest.tables, read_contents(conn)))
    if found:
        raise BackupError(
            f"the restored database differs from the manifest: {'; '.join(found[:_SHOWN])}"
            + (f"; {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        )


def _migrate(server: PostgresServer) -> None:
    try:
        migrate(server.url())
    except UnknownRevision as error:
        raise BackupError(str(error)) from error
    if not is_current(server.url()):
        raise BackupError("the restored database does not have the current schema after migrating")
