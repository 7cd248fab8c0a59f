"""The database that a command works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine


@contextmanager
def transaction() -> Iterator[Connection]:
    """Run one transaction as the pipelines' role; rolled back after an exception."""
    pool = engine(Role.PIPELINES, with_running_system(Settings()))
    try:
        with pool.begin() as conn:
            yield conn
    finally:
        pool.dispose()
