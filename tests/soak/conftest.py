"""Soak tests of the whole path from a chain to the tables."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine

from tests.fixtures.postgres import TEMPLATE
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role


@pytest.fixture
def db(database: str) -> Iterator[Engine]:
    """The database as the ingesting role sees it."""
    made = role_engine(Role.INGEST, database, pool_size=12)
    yield made
    made.dispose()


@pytest.fixture
def reference(postgres_server: PostgresServer, database: str) -> Iterator[Engine]:
    """A second database, to compare with."""
    name = f"{urlsplit(database).path[1:]}_reference"
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        postgres_server.create_database(admin, name, template=TEMPLATE)
        made = role_engine(Role.INGEST, postgres_server.url(name), pool_size=2)
        yield made
        made.dispose()
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.model_validate({"redis_url": redis_url})
