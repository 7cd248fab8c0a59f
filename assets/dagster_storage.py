"""Dagster's own tables in Postgres, with connections that are kept open.

dagster-postgres opens a connection for every single statement outside the webserver. Sensors
that tick every five seconds and a queue that is read every second make that about forty logins a
second, which cost more than everything else on a small machine. Here one process keeps one pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import Engine, create_engine

from assets.dagster_internals import ConfigurableClassData, pg_url_from_config, use_engine

# Connections kept open per process, and the most that are open while many threads need one.
POOL_SIZE = 3
MAX_CONNECTIONS = 20


@cache
def pool(url: str) -> Engine:
    """Return the engine of this process; Dagster makes a new instance for every tick."""
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=POOL_SIZE,
        max_overflow=MAX_CONNECTIONS - POOL_SIZE,
        pool_pre_ping=True,
        pool_recycle=600,
    )


# Databases in which this process has seen the tables; checking takes three more logins.
_created: set[str] = set()


class PooledPostgresStorage(DagsterPostgresStorage):
    """``DagsterPostgresStorage`` with the same configuration, on the pool of its process."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        """Let the parent class create the tables, then replace its engines by the pool."""
        create = should_autocreate_tables and postgres_url not in _created
        super().__init__(postgres_url, create, inst_data)
        use_engine(self, pool(postgres_url))
        if create:
            _created.add(postgres_url)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        """Do what the parent's method does, which names its own class."""
        return cls(
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )
