"""Archive the write-ahead log: ``python -m zmart_pipelines.backup.archiver``.

``pg_receivewal`` receives the log as it is written, so that the loss of the cluster's folder costs
what was written in the last moments alone; nothing is forced to be written at rest. This process
compresses complete files, takes a base backup a day, deletes what is past its retention, and notes
up to when everything was received, which health measures.

Exit codes: 1 a program failed, for example because Postgres stopped; the supervisor starts again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Final

import click
import psycopg
from psycopg.conninfo import make_conninfo

from zmart_pipelines.backup.archive_progress import ArchiveProgress
from zmart_pipelines.backup.base_backups import take_base_backup
from zmart_pipelines.backup.client_programs import client_programs, connection_environment
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.wal_archive import WalArchive
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import libpq_url

SLOT: Final = "zmart_archive"
BASE_EVERY: Final = timedelta(days=1)
_LOOK_SECONDS: Final = 2.0
_REST_SECONDS: Final = 3.0
_HOUSEKEEPING: Final = timedelta(minutes=10)


def main() -> int:
    """Archive until a signal, or until a program fails."""
    settings = Settings()
    if settings.database_url_wal is None:
        click.echo("DATABASE_URL_WAL is not set", err=True)
        return 1
    signal.signal(signal.SIGTERM, _stop)
    try:
        _archive(settings, settings.database_url_wal.get_secret_value())
    except (BackupError, psycopg.Error, OSError) as error:
        click.echo(f"the log is not archived: {error}", err=True)
        return 1
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def now_utc() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)


def _archive(settings: Settings, url: str) -> None:
    programs = client_programs(settings)
    archive = WalArchive(settings.wal_archive_folder / system_identifier(url))
    archive.prepare()
    fresh = ensure_slot(url)
    if fresh:
        archive.store_everything()
    receiver = start_receiver(archive, programs, url)
    try:
        _keep(settings, archive, programs, url, receiver, base_due=fresh)
    finally:
        end_receiver(receiver)
        archive.store_complete()


def _keep(
    settings: Settings,
    archive: WalArchive,
    programs: Path,
    url: str,
    receiver: subprocess.Popen[bytes],
    *,
    base_due: bool,
) -> None:
    next_pruning = now_utc()
    with replication_connection(url) as conn:
        progress = ArchiveProgress(archive, conn, SLOT)
        while (code := receiver.poll()) is None:
            progress.note()
            archive.store_complete()
            bases = archive.bases()
            if base_due or not bases or now_utc() - bases[-1].began_at >= BASE_EVERY:
                base = take_base_backup(archive, programs, url, now_utc)
                click.echo(f"base backup {base.name}, replayed from {base.first_segment}")
                base_due = False
            if now_utc() >= next_pruning:
                archive.prune(now_utc(), settings.wal_keep_days)
                next_pruning = now_utc() + _HOUSEKEEPING
            time.sleep(_LOOK_SECONDS)
    raise BackupError(f"pg_receivewal ended with code {code}")


def start_receiver(archive: WalArchive, programs: Path, url: str) -> subprocess.Popen[bytes]:
    """Start ``pg_receivewal``, which ends when this process does."""
    return start(
        [
            *(str(programs / "pg_receivewal"), "--directory", str(archive.incoming)),
            *("--slot", SLOT, "--no-loop", "--no-password", "--status-interval=5"),
        ],
        environment=connection_environment(url),
        folder=archive.root,
        output=sys.stderr.fileno(),
    )


def end_receiver(receiver: subprocess.Popen[bytes]) -> None:
    """End ``pg_receivewal``; of a server that stops, it first receives the rest of the log."""
    try:
        receiver.wait(_REST_SECONDS)
    except subprocess.TimeoutExpired:
        receiver.terminate()
        receiver.wait()


def replication_connection(url: str) -> psycopg.Connection:
    """Return a connection that takes replication commands."""
    return psycopg.connect(
        make_conninfo(libpq_url(url), replication="database", connect_timeout=5),
        autocommit=True,
        cursor_factory=psycopg.ClientCursor,
    )


def system_identifier(url: str) -> str:
    """Return the identifier of the server's cluster, which initdb chose."""
    with replication_connection(url) as conn:
        row = conn.execute("IDENTIFY_SYSTEM").fetchone()
    if row is None:
        raise BackupError("the server does not identify itself")
    return str(row[0])


def ensure_slot(url: str) -> bool:
    """Make the replication slot that keeps what was not received yet; True if it is new.

    A slot that fell so far behind that the server dropped its log is made again.
    """
    with replication_connection(url) as conn:
        row = conn.execute(
            "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s", (SLOT,)
        ).fetchone()
        if row is not None and not row[0]:
            return False
        if row is not None:
            conn.execute("SELECT pg_drop_replication_slot(%s)", (SLOT,))
        conn.execute("SELECT pg_create_physical_replication_slot(%s, true)", (SLOT,))
    return True


if __name__ == "__main__":
    raise SystemExit(main())
