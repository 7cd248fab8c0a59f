"""Engines on a fresh database, one per role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from zmart_pipelines.store.engine import Role, engine

Engines = dict[Role, Engine]


@pytest.fixture
def engines(database: str) -> Iterator[Engines]:
    """One engine per role; a connection's statements are that role's."""
    with ExitStack() as stack:
        made = {role: engine(role, database, pool_size=10) for role in Role}
        for one in made.values():
            stack.callback(one.dispose)
        yield made
