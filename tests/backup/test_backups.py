"""Backups are taken, verified by a restore, kept for a while, and damage is noticed."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from sqlalchemy import Engine

from zmart_pipelines.backup.encryption import new_key
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.nightly import back_up
from zmart_pipelines.backup.stored_backups import BackupStore, open_store
from zmart_pipelines.backup.table_contents import read_contents
from zmart_pipelines.backup.taking import take_backup
from zmart_pipelines.backup.targets import configured_target
from zmart_pipelines.backup.verification import check_files, verify_backup
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.backups import last_verified, newest_backups


def with_values(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update=values)


def superuser(server: PostgresServer, settings: Settings) -> psycopg.Connection:
    name = settings.database_url.get_secret_value().rsplit("/", 1)[1]
    return psycopg.connect(server.url(name, SUPERUSER), autocommit=True)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3-compatible server with a bucket: it shows that the API fits, nothing of durability."""
    port = unused_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{port}"
    httpx.put(f"{url}/backups").raise_for_status()
    yield url
    server.stop()


def test_backup_is_restored_and_compared_before_it_counts(
    settings: Settings,
    pipelines: Engine,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What changes meanwhile is in neither dump nor manifest."""

    def with_a_late_row(conn: psycopg.Connection) -> object:
        with superuser(postgres_server, settings) as other:
            other.execute("INSERT INTO community.users (wallet) VALUES (sha256('late'))")
        return read_contents(conn)

    monkeypatch.setattr("zmart_pipelines.backup.taking.read_contents", with_a_late_row)
    taken = back_up(settings, pipelines)
    assert taken.manifest.tables["voting.ballots"].rows == 2
    assert taken.manifest.tables["community.users"].rows >= 2
    assert taken.manifest.tables["chain.events"].rows > 0
    assert not [name for name in taken.manifest.tables if name.startswith("dagster.")]
    assert set(taken.manifest.cids) == {cid_v0(b"evidence"), cid_v0(b"tally")}
    with pipelines.connect() as conn:
        (row,) = newest_backups(conn, 10)
        assert last_verified(conn) == taken.row.taken_at
    assert row == taken.row
    assert row.verified_at is not None
    folder = settings.zmart_state / "backups"
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_dir()} == {0o700}


def test_encrypted_backup_reveals_nothing_and_needs_its_key(settings: Settings) -> None:
    keyed = with_values(settings, backup_key=SecretStr(new_key()))
    with open_store(keyed) as store:
        taken = take_backup(keyed, store, datetime.now(UTC))
    stored = sorted((settings.zmart_state / "backups" / taken.name).iterdir())
    assert [path.name for path in stored] == [
        "database.dump.age", "manifest.json.age", "pinned-files.tar.age", "roles.sql.age",
    ]  # fmt: skip
    for path in stored:
        assert path.read_bytes().startswith(b"age-encryption.org/v1")
    for other in (None, SecretStr(new_key())):
        with (
            open_store(with_values(settings, backup_key=other)) as store,
            pytest.raises(BackupError, match="BACKUP_KEY"),
        ):
            store.manifest(taken.name)


def test_s3_compatible_store_keeps_lists_returns_and_deletes(
    settings: Settings, pipelines: Engine, s3: str
) -> None:
    remote = with_values(
        settings,
        backup_target="s3://backups/zmart/main",
        backup_s3_endpoint=s3,
        backup_s3_access_key_id="id",
        backup_s3_secret_access_key=SecretStr("secret"),
        backup_key=SecretStr(new_key()),
    )
    long_ago = datetime.now(UTC) - timedelta(days=31)
    with open_store(remote) as store:
        old = take_backup(remote, store, long_ago)
    new = back_up(remote, pipelines)
    assert new.deleted == (old.name,)
    with open_store(remote) as store:
        assert [(one.name, one.verified) for one in store.backups()] == [(new.row.name, True)]
        assert check_files(store, store.manifest(new.row.name)).keys() == set(new.manifest.cids)


def test_s3_failure_names_the_settings_and_is_recorded(
    settings: Settings, pipelines: Engine, s3: str
) -> None:
    remote = with_values(
        settings,
        backup_target="s3://no-such-bucket/zmart",
        backup_s3_endpoint=s3,
        backup_s3_access_key_id="id",
        backup_s3_secret_access_key=SecretStr("do-not-show"),
    )
    with pytest.raises(BackupError, match="check BACKUP_TARGET") as failure:
        back_up(remote, pipelines)
    with pipelines.connect() as conn:
        (row,) = newest_backups(conn, 10)
        assert last_verified(conn) is None
    assert row.error is not None
    assert "s3://no-such-bucket" in row.error
    assert "do-not-show" not in row.error + str(failure.value)


def test_damaged_file_is_noticed(settings: Settings) -> None:
    with open_store(settings) as store:
        taken = take_backup(settings, store, datetime.now(UTC))
        for name in taken.files:
            path = settings.zmart_state / "backups" / taken.name / name
            good = path.read_bytes()
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            with pytest.raises(BackupError, match=rf"{name} of backup \w+ is damaged"):
                verify_backup(settings, store, taken.name, datetime.now(UTC))
            path.write_bytes(good)
        assert check_files(store, taken).keys() == set(taken.cids)


def test_restore_that_differs_from_the_manifest_is_no_good_backup(
    settings: Settings,
    pipelines: Engine,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row changes between the dump and the hashes, as if both were not of one snapshot."""

    def other_snapshot(conn: psycopg.Connection) -> object:
        conn.rollback()
        with superuser(postgres_server, settings) as other:
            other.execute("INSERT INTO community.users (wallet) VALUES (sha256('late'))")
        return read_contents(conn)

    monkeypatch.setattr("zmart_pipelines.backup.taking.read_contents", other_snapshot)
    with pytest.raises(BackupError, match=r"community\.users has \d+ rows, the manifest says"):
        back_up(settings, pipelines)
    with open_store(settings) as store:
        assert [one.verified for one in store.backups()] == [False]


def test_table_whose_rows_are_hidden_from_backups_stops_the_backup(
    settings: Settings, postgres_server: PostgresServer
) -> None:
    with superuser(postgres_server, settings) as conn:
        conn.execute("DROP POLICY backup ON voting.ballots")
    with (
        open_store(settings) as store,
        pytest.raises(BackupError, match=r"hides rows of voting\.ballots"),
    ):
        take_backup(settings, store, datetime.now(UTC))


def test_password_is_in_no_argument(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    start = subprocess.Popen

    class Recorded(start):  # type: ignore[misc, valid-type]
        def __init__(self, command: list[str], *arguments: object, **options: object) -> None:
            seen.extend(str(part) for part in command)
            super().__init__(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with open_store(settings) as store:
        take_backup(settings, store, datetime.now(UTC))
    assert [part for part in seen if part.endswith("pg_dump")]
    secret = settings.database_url.get_secret_value().split(":")[2].split("@")[0]
    assert not [part for part in seen if secret in part]


def test_full_or_missing_target_is_named(settings: Settings, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    target = configured_target(with_values(settings, backup_target=blocked.as_uri()))
    with pytest.raises(BackupError, match="BACKUP_TARGET must be a folder"):
        target.put("20260630T000000Z", "roles.sql", blocked)


def test_backup_without_manifest_is_not_complete(settings: Settings) -> None:
    with open_store(settings) as store:
        store.add("20260630T000000Z", "roles.sql", lambda file: file.write(b"roles"))
        (one,) = store.backups()
        assert not one.complete
        assert_no_manifest(store)


def assert_no_manifest(store: BackupStore) -> None:
    with pytest.raises(BackupError, match="no complete backup"):
        store.manifest("20260630T000000Z")
