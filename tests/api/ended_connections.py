"""Idle connections to Postgres that the server ends."""

from __future__ import annotations

from typing import Final

import psycopg

from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.store.engine import Role

_TERMINATE: Final = """
SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
WHERE usename = %s AND datname = %s
"""


def end_connections(server: PostgresServer, database: str, role: Role) -> int:
    """End every connection of a role to a database (its URL); return how many there were."""
    with psycopg.connect(server.url("postgres", SUPERUSER)) as admin:
        row = admin.execute(_TERMINATE, (role.value, database.rsplit("/", 1)[1])).fetchone()
    assert row is not None
    return int(row[0])
