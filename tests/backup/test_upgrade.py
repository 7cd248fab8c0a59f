"""An upgrade is rolled back to the backup of before it, and done again; no row is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from tests.store.secured_tables import SECURED
from zmart_pipelines.backup.client_programs import client_programs
from zmart_pipelines.backup.database_restore import drop_schemas
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.stored_backups import open_store
from zmart_pipelines.backup.table_contents import SESSION_OPTIONS, read_contents
from zmart_pipelines.backup.taking import take_backup
from zmart_pipelines.backup.verification import restore_into
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.migrate import is_current, migrate

EARLIER = "0020_accounts"
DATABASE = "upgraded"


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with the schema of an earlier version, and users' rows."""
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        postgres_server.create_database(admin, DATABASE)
        migrate(postgres_server.url(DATABASE), EARLIER)
        with psycopg.connect(postgres_server.url(DATABASE, SUPERUSER)) as conn:
            for table in ("community.users", "voting.ballots"):
                for statement in (*SECURED[table].referenced, *SECURED[table].rows):
                    conn.execute(statement.encode())
        yield postgres_server.url(DATABASE)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


def test_upgrade_is_rolled_back_and_done_again(
    url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    logins = {name: SecretStr(login) for name, login in login_settings(url).items()}
    settings = Settings.model_validate({**logins, "zmart_state": tmp_path})
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
