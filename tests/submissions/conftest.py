"""The world that submissions are tested in."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.fixtures.localnet import StartLocalnet
from tests.submissions.world import World
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer

NewDatabase = Callable[[], str]


@pytest.fixture
def new_database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[NewDatabase]:
    """Makes fresh migrated databases, each at the URL it returns, dropped after the test."""
    numbers = count(1)
    made: list[str] = []
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:

        def make() -> str:
            name = f"several_{os.getpid()}_{next(numbers)}"
            postgres_server.create_database(admin, name, template=migrated_template)
            made.append(name)
            return postgres_server.url(name)

        yield make
        for name in made:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def world(
    start_localnet: StartLocalnet, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A world of the test's own; an indirect parameter holds flags for its chain."""
    flags: tuple[str, ...] = getattr(request, "param", ())
    made = World(start_localnet(*flags), database, tmp_path / "state")
    yield made
    made.close()
