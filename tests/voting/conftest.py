"""Engines of the roles that vote and count, on a database of the test's own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role


@pytest.fixture
def api(database: str) -> Iterator[Engine]:
    """The API's rights: row-level security holds."""
    made = role_engine(Role.API, database, pool_size=16)
    yield made
    made.dispose()


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


@pytest.fixture
def ingest(database: str) -> Iterator[Engine]:
    """The projection's writer."""
    made = role_engine(Role.INGEST, database)
    yield made
    made.dispose()
