"""Engines on the fresh database of a test, and Dagster instances."""

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine

from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Keeps runs, events and cursors in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def stored_instance() -> Iterator[dg.DagsterInstance]:
    """Keeps them in files, where schedules find them that are evaluated."""
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """May write everything, to put a test's rows where they belong."""
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()
