"""Dagster's own tables in Postgres, with connections that are kept.

dagster-postgres opens a connection for every single statement outside the webserver. Sensors
every five seconds and a queue looked at every second make that some forty logins a second,
which cost more than all the rest on a small machine. Here one process keeps one pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import Engine, create_engine

from assets.dagster_internals import ConfigurableClassData, pg_url_from_config, use_engine

# Kept open per process, and opened on top for a moment when many threads ask at once.
KEPT = 3
AT_ONCE = 20


@cache
def pool(url: str) -> Engine:
    """The engine of this process: Dagster makes a new instance for every tick."""
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=KEPT,
        max_overflow=AT_ONCE - KEPT,
        pool_pre_ping=True,
        pool_recycle=600,
    )


# Databases in which this process has seen the tables; looking takes three logins more.
_created: set[str] = set()


class PooledPostgresStorage(DagsterPostgresStorage):
    """``DagsterPostgresStorage`` with the same configuration, on the pool of its process."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        """The parent class creates the tables, before the pool takes the engines' place."""
        create = should_autocreate_tables and postgres_url not in _created
        super().__init__(postgres_url, create, inst_data)
        use_engine(self, pool(postgres_url))
        if create:
            _created.add(postgres_url)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        """As the parent's, which names its own class."""
        return cls(
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )
