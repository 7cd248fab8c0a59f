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
from sqlalchemy import Engine, create_engine, make_url

from assets.dagster_internals import (
    ConfigurableClassData,
    pg_url_from_config,
    remember_schema,
    use_engine,
    use_schedule_storage,
)
from assets.dagster_ticks import QuietScheduleStorage
from zmart_pipelines.settings import settings
from zmart_pipelines.store.engine import liveness_options
from zmart_pipelines.store.idle_connections import replace_closed_connections

# Connections kept open per process, and the most that are open while many threads need one.
POOL_SIZE = 2
MAX_CONNECTIONS = 20
# Dagster deletes the events of many runs in one statement.
STATEMENT_SECONDS = 600


@cache
def pool(url: str) -> Engine:
    """Return the engine of this process; Dagster makes a new instance for every tick."""
    # The URL's own options name the schema; an argument of the same name would replace them.
    given = make_url(url).query.get("options", "")
    limit = f"-c statement_timeout={int(STATEMENT_SECONDS * 1000)}"
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        connect_args=liveness_options(settings()) | {"options": f"{given} {limit}".strip()},
        pool_size=POOL_SIZE,
        max_overflow=MAX_CONNECTIONS - POOL_SIZE,
        pool_recycle=600,
        pool_timeout=30,
    )
    replace_closed_connections(engine)
    return engine


# Per database what this process knows of its schema: migrations that were made. A database
# without an entry may not have its tables yet; asking for them takes three more logins.
_built: dict[str, set[str]] = {}


class PooledPostgresStorage(DagsterPostgresStorage):
    """``DagsterPostgresStorage`` with the same configuration, on the pool of its process."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        """Let the parent class create the tables, then replace its engines by the pool."""
        create = should_autocreate_tables and postgres_url not in _built
        super().__init__(postgres_url, create, inst_data)
        use_engine(self, pool(postgres_url))
        use_schedule_storage(self, QuietScheduleStorage)
        remember_schema(self, _built.setdefault(postgres_url, set()))

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
