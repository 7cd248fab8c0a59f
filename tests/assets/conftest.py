"""Engines on the fresh database of a test."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """May write everything, to put a test's rows where they belong."""
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()
