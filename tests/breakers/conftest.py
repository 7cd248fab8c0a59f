from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role


@pytest.fixture
def db(database: str) -> Iterator[Engine]:
    """The pipelines' connections to a fresh database."""
    pool = role_engine(Role.PIPELINES, database, pool_size=10, max_overflow=10)
    yield pool
    pool.dispose()
