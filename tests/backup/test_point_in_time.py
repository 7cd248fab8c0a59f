"""The embedded cluster is destroyed, and brought back to a second from the archived log."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, func, select

from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.point_in_time import restore_cluster
from zmart_pipelines.backup.wal_archive import archives
from zmart_pipelines.health.archive_record import archive_state
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.os_accounts import server_account
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.postgres import STOP_SIGNAL, PostgresServer, find_binaries
from zmart_pipelines.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SECONDS = 60.0


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    home = Path(tempfile.mkdtemp(prefix="zmart-pg-"))
    home.chmod(0o711)  # the server's account passes through
    yield PostgresServer(
        home=home / "postgres",
        port=unused_port(),
        superuser_password=secrets.token_urlsafe(16),
        owner_password=secrets.token_urlsafe(16),
        binaries=find_binaries(),
        account=server_account(),
        archive_password=secrets.token_urlsafe(16),
    )
    shutil.rmtree(home)


@pytest.fixture
def settings(server: PostgresServer, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {"zmart_state": tmp_path, "database_url_wal": SecretStr(server.archive_url())}
    )


@contextmanager
def running(server: PostgresServer, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    server.prepare()
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
        wait_for(server.answers)
        server.ensure_role_and_database()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(STOP_SIGNAL)
            process.wait(SECONDS)


@contextmanager
def archiving(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    environment = settings.environment({"database_url_wal"})
    process = subprocess.Popen(
        [sys.executable, "-m", "zmart_pipelines.backup.archiver"],
        env={"PATH": os.environ["PATH"], "ZMART_ENV_FILE": "", **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: bool(archives(settings)) or process.poll() is not None)
        assert process.poll() is None
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def insert(server: PostgresServer, *numbers: int) -> datetime:
    """Insert rows in one transaction; return the server's time after its commit."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS acknowledged (number integer PRIMARY KEY)")
        with conn.transaction():
            for number in numbers:
                conn.execute("INSERT INTO acknowledged VALUES (%s)", (number,))
        row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    time.sleep(0.01)
    committed_at: datetime = row[0]
    return committed_at.astimezone(UTC)


def numbers(server: PostgresServer) -> list[int]:
    with psycopg.connect(server.url()) as conn:
        return [number for (number,) in conn.execute("SELECT * FROM acknowledged ORDER BY 1")]


def destroy(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(SECONDS)
    shutil.rmtree(server.data)


def test_destroyed_cluster_comes_back_to_a_time_and_to_the_end_of_the_log(
    server: PostgresServer, settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running(server, log) as process, archiving(settings):
        insert(server, 1, 2)
        middle = insert(server, 3)
        insert(server, 4, 5)
        received = archives(settings)[-1].incoming
        wait_for(lambda: is_received(server, received))
        destroy(server, process)
    (archive,) = archives(settings)
    assert {path.stat().st_mode & 0o777 for path in archive.root.rglob("*") if path.is_file()} == {
        0o600
    }
    with pytest.raises(BackupError, match="nothing before is kept"):
        restore_cluster(server, settings, middle - timedelta(hours=1), log)
    restored = restore_cluster(server, settings, None, log)
    assert restored.moved_to is None
    with running(server, log):
        assert numbers(server) == [1, 2, 3, 4, 5]
    restored = restore_cluster(server, settings, middle, log)
    assert restored.moved_to is not None
    with running(server, log) as process, archiving(settings):
        assert numbers(server) == [1, 2, 3]
        insert(server, 6)
        wait_for(lambda: is_received(server, archives(settings)[-1].incoming))
        destroy(server, process)
    restore_cluster(server, settings, None, log)
    with running(server, log):
        assert numbers(server) == [1, 2, 3, 6], "the log that follows the first restore"


def is_received(server: PostgresServer, incoming: Path) -> bool:
    """Whether the archive has the log up to the server's end of it."""
    with psycopg.connect(server.url("postgres", "postgres")) as conn:
        row = conn.execute(
            "SELECT coalesce(bool_and(sent_lsn >= pg_current_wal_lsn()), false)"
            " FROM pg_stat_replication WHERE application_name = 'pg_receivewal'"
        ).fetchone()
    return row is not None and bool(row[0]) and any(incoming.iterdir())


def archive_lag(server: PostgresServer, settings: Settings) -> float | None:
    """The lag of the archive in seconds by the server's clock; None before the first note."""
    engine = create_engine(server.url().replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as conn:
            state = archive_state(conn, settings.wal_archive_folder)
            assert state.is_kept
            now = conn.execute(select(func.clock_timestamp())).scalar_one()
    finally:
        engine.dispose()
    return None if state.received is None else (now - state.received.until).total_seconds()


def is_behind(server: PostgresServer, settings: Settings, seconds: float) -> bool:
    lag = archive_lag(server, settings)
    return lag is not None and lag > seconds


def is_current(server: PostgresServer, settings: Settings) -> bool:
    """The receiver reports every five seconds, and is asked every two."""
    return not is_behind(server, settings, 10) and archive_lag(server, settings) is not None


def test_lag_of_the_archive_grows_while_the_receiver_hangs_or_the_archiver_is_gone(
    server: PostgresServer, settings: Settings, tmp_path: Path
) -> None:
    with running(server, tmp_path / "log"):
        with archiving(settings) as archiver:
            insert(server, 1)
            wait_for(lambda: is_current(server, settings))
            time.sleep(11)
            assert is_current(server, settings), "at rest it stays current"
            (receiver,) = (
                child
                for child in psutil.Process(archiver.pid).children()
                if "pg_receivewal" in child.name()
            )
            receiver.suspend()
            insert(server, 2)
            wait_for(lambda: is_behind(server, settings, 12))
            receiver.resume()
            wait_for(lambda: is_current(server, settings))
        wait_for(lambda: is_behind(server, settings, 12))
        with archiving(settings):
            wait_for(lambda: is_current(server, settings))
