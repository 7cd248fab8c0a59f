"""A database with a ledger and users' rows, and the settings to back it up."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM, Recorder
from tests.store.secured_tables import SECURED
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

# Users' tables whose rows need no others.
USERS_TABLES = ("community.users", "community.documents", "voting.ballots", "accounts.nonces")


@pytest.fixture
def settings(postgres_server: PostgresServer, database: str, tmp_path: Path) -> Settings:
    """Settings whose database has a market and users' rows, and whose store has two files."""
    ingest = role_engine(Role.INGEST, database, pool_size=1)
    chain = Recorder()
    chain.create(1)
    ingest_committed(
        ingest, chain.transactions, source=Source.CONFIRMED_POLL, commitment="confirmed",
        program=PROGRAM,
    )  # fmt: skip
    ingest.dispose()
    name = database.rsplit("/", 1)[1]
    with psycopg.connect(postgres_server.url(name, SUPERUSER)) as conn:
        for table in USERS_TABLES:
            for statement in (*SECURED[table].referenced, *SECURED[table].rows):
                conn.execute(statement.encode())
    logins = {name: SecretStr(url) for name, url in login_settings(database).items()}
    found = Settings.model_validate({**logins, "zmart_state": tmp_path / "state"})
    store = LocalPinStore(found.zmart_state / "ipfs")
    for data in (b"evidence", b"tally"):
        store.pin(data)
    return found


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    """The login that records backups."""
    pool = role_engine(Role.PIPELINES, database, pool_size=1)
    yield pool
    pool.dispose()
