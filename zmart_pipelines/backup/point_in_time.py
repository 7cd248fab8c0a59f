"""Bring the embedded cluster to a moment: a base backup, then the archived log up to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from psycopg import sql

from zmart_pipelines.backup.base_backups import ARCHIVE
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.names import backup_name
from zmart_pipelines.backup.wal_archive import WalArchive, archives
from zmart_pipelines.backup.wal_names import BaseBackup, base_for
from zmart_pipelines.runtime import leftover_processes
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.os_accounts import Account
from zmart_pipelines.runtime.postgres import STOP_SIGNAL, SUPERUSER, PostgresServer
from zmart_pipelines.settings import Settings

_RECOVERY_SECONDS: Final = 3_000.0
_STOP_SECONDS: Final = 60.0
_TAIL: Final = 5
_SETTINGS: Final = ("restore_command", "recovery_target_time", "recovery_target_action")


class Recovered(msgspec.Struct, frozen=True):
    """What a restore to a moment did.

    Attributes:
        base: Name of the base backup.
        segments: Files of the log that were at hand.
        last_commit_at: Time of the last transaction that was replayed.
        moved_to: Where the cluster's folder of before is; None if there was none.
        seconds: How long it took.
    """

    base: str
    segments: int
    last_commit_at: datetime | None
    moved_to: Path | None
    seconds: float


def choose(settings: Settings, at: datetime | None) -> tuple[WalArchive, BaseBackup]:
    """Return the archive of the newest cluster, and its base backup for this time.

    Raises:
        BackupError: There is none that is old enough.
    """
    found = archives(settings)
    if not found:
        raise BackupError("there is no base backup, so that no time can be restored; use --from")
    base = base_for(found[-1].bases(), at)
    if base is None:
        oldest = found[-1].bases()[0].finished_at.astimezone(UTC)
        raise BackupError(f"the oldest base backup is of {oldest:%F %T}Z; nothing before is kept")
    return found[-1], base


def restore_cluster(
    server: PostgresServer, settings: Settings, at: datetime | None, log: Path
) -> Recovered:
    """Replace the cluster's folder by its state at a time; the server must not run.

    The folder of before is kept beside it.

    Args:
        server: The embedded server.
        settings: Where the archive is.
        at: The time; None: the end of the log.
        log: Receives what the server writes meanwhile.

    Raises:
        BackupError: There is no base backup for it, or the log ends before the time.
    """
    began = time.monotonic()
    archive, base = choose(settings, at)
    leftover_processes.kill(leftover_processes.servers_in(server.home))
    existed = (server.data / "PG_VERSION").exists()
    server.prepare()
    partial = server.home / "data.restored"
    staged = server.home / "restored-log"
    for left in (partial, staged):
        shutil.rmtree(left, ignore_errors=True)
    _extract(archive.base / base.name / ARCHIVE, partial)
    staged.mkdir(mode=0o700)
    names = archive.stage(base.first_segment, staged)
    _configure(partial, staged, at)
    for folder in (partial, staged):
        _give(folder, server.account)
    moved = server.home / f"data.before-{backup_name(datetime.now(UTC))}"
    server.data.rename(moved)
    if not existed:  # prepare has just made an empty one
        shutil.rmtree(moved)
    partial.rename(server.data)
    last = _replay(server, log)
    shutil.rmtree(staged)
    return Recovered(
        base.name, len(names), last, moved if existed else None, time.monotonic() - began
    )


def _extract(archive: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with tarfile.open(archive, mode="r|gz") as tar:
        tar.extractall(folder, filter="tar")
    folder.chmod(0o700)


def _configure(data: Path, staged: Path, at: datetime | None) -> None:
    lines = [f'restore_command = \'cp "{staged}/%f" "%p"\'']
    if at is not None:
        lines.append(f"recovery_target_time = '{at.astimezone(UTC).isoformat()}'")
        lines.append("recovery_target_action = 'promote'")
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    (data / "recovery.signal").touch(mode=0o600)


def _give(folder: Path, account: Account | None) -> None:
    if account is None:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _replay(server: PostgresServer, log: Path) -> datetime | None:
    """Run the server until it has replayed the log; return the time of the last transaction."""
    with log.open("ab") as output:
        process = start(
            server.command(),
            environment=server.environment(),
            folder=server.home,
            output=output,
            account=server.account,
            death_signal=STOP_SIGNAL,
        )
    try:
        return _await_promotion(server, process, log)
    finally:
        process.send_signal(STOP_SIGNAL)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _await_promotion(
    server: PostgresServer, process: subprocess.Popen[bytes], log: Path
) -> datetime | None:
    deadline = time.monotonic() + _RECOVERY_SECONDS
    last: datetime | None = None
    while process.poll() is None and time.monotonic() < deadline:
        if server.answers():
            recovering, seen = _progress(server)
            last = seen or last
            if not recovering:
                return last
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
    raise BackupError(
        f"the log could not be replayed; it may end before the time (--at latest restores to its"
        f" end). The server says:\n{tail}"
    )


def _progress(server: PostgresServer) -> tuple[bool, datetime | None]:
    """Return whether the log is still replayed, and the time of the last transaction in it."""
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as conn:
        row = conn.execute("SELECT pg_is_in_recovery(), pg_last_xact_replay_timestamp()").fetchone()
        if row is None or row[0]:
            return True, None if row is None else row[1]
        _forget_recovery(conn)
        return False, row[1]


def _forget_recovery(conn: psycopg.Connection) -> None:
    for name in _SETTINGS:
        conn.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
