"""An upgrade is rolled back to the backup of before it, and done again; no row is lost."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from tests.ledger.recorded_rpc import PROGRAM
from tests.store.secured_tables import SECURED
from zmart_pipelines.backup.client_programs import client_programs
from zmart_pipelines.backup.database_restore import drop_schemas, restore_dump
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.manifest import TableContent
from zmart_pipelines.backup.stored_backups import open_store
from zmart_pipelines.backup.table_contents import SESSION_OPTIONS, read_contents
from zmart_pipelines.backup.taking import take_backup
from zmart_pipelines.backup.verification import restore_into
from zmart_pipelines.ledger.audit.rebuild import verify_projection
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.migrate import is_current, migrate

EARLIER = "0020_accounts"
# The first schema with today's names, with rows that the code of then has written: a history of
# three markets, ballots and comments. The tag schema-0001 is that code.
FIRST_DUMP = Path(__file__).with_name("schema_0001.dump")
DATABASE = "upgraded"


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[str]:
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        postgres_server.create_database(admin, DATABASE)
        yield postgres_server.url(DATABASE)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


@pytest.fixture
def url(postgres_server: PostgresServer, empty: str) -> str:
    """A database with the schema of an earlier version, and users' rows."""
    migrate(empty, EARLIER)
    with psycopg.connect(postgres_server.url(DATABASE, SUPERUSER)) as conn:
        for table in ("community.users", "voting.ballots"):
            for statement in (*SECURED[table].referenced, *SECURED[table].rows):
                conn.execute(statement.encode())
    return empty


def settings_for(url: str, folder: Path) -> Settings:
    logins = {name: SecretStr(login) for name, login in login_settings(url).items()}
    return Settings.model_validate({**logins, "zmart_state": folder})


def test_upgrade_is_rolled_back_and_done_again(
    url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    settings = settings_for(url, tmp_path)
    programs = client_programs(settings)
    with open_store(settings) as store:
        manifest = take_backup(settings, store, datetime.now(UTC))
        assert manifest.revision == EARLIER
        migrate(url)
        with pytest.raises(BackupError, match="not empty"):
            restore_into(store, manifest, url, programs)
        drop_schemas(url)
        restore_into(store, manifest, url, programs)
    with psycopg.connect(postgres_server.url(DATABASE, SUPERUSER), options=SESSION_OPTIONS) as conn:
        assert read_contents(conn) == manifest.tables, "as it was before the upgrade"
        assert manifest.tables["voting.ballots"].rows == 2
    migrate(url)
    assert is_current(url)
    with psycopg.connect(postgres_server.url(DATABASE, SUPERUSER)) as conn:
        assert conn.execute("SELECT count(*) FROM voting.ballots").fetchone() == (2,)


def test_upgrade_from_the_first_schema_is_rolled_back_and_done_again(
    empty: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """The dump of then is its backup: ``zmart backup`` needs policies that came later."""
    settings = settings_for(empty, tmp_path)
    programs = client_programs(settings)

    def write(target: IO[bytes], /) -> None:
        target.write(FIRST_DUMP.read_bytes())

    def contents() -> Mapping[str, TableContent]:
        with psycopg.connect(
            postgres_server.url(DATABASE, SUPERUSER), options=SESSION_OPTIONS
        ) as conn:
            return read_contents(conn)

    restore_dump(empty, programs, write)
    before = contents()
    assert before["voting.ballots"].rows == 5
    assert before["community.discussions"].rows == 12
    assert before["chain.transactions"].rows == 92
    with open_store(settings) as store, pytest.raises(BackupError, match="hides rows"):
        take_backup(settings, store, datetime.now(UTC))
    migrate(empty)
    assert fewer(before, contents()) == {}
    with role_engine(Role.READ, empty).connect() as conn:
        assert verify_projection(conn, PROGRAM) == [], "what was folded then is what is now"
    drop_schemas(empty)
    restore_dump(empty, programs, write)
    assert contents() == before
    migrate(empty)
    assert is_current(empty)
    assert fewer(before, contents()) == {}
    with open_store(settings) as store:
        assert take_backup(settings, store, datetime.now(UTC)).tables["voting.ballots"].rows == 5


def fewer(before: Mapping[str, TableContent], after: Mapping[str, TableContent]) -> dict[str, int]:
    """How many rows are missing of each table."""
    left = {name: found.rows for name, found in after.items()}
    counts = {name: found.rows - left.get(name, 0) for name, found in before.items()}
    return {name: missing for name, missing in counts.items() if missing > 0}
