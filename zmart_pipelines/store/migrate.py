"""Bring a database to the current schema, and tell whether it is there.

``migrate`` may be called by several processes at once: a session lock lets one of them
work while the others wait and then find nothing to do.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import ProgrammingError

from zmart_pipelines.store.engine import login_engine
from zmart_pipelines.store.locks import MIGRATION

VERSION_SCHEMA = "public"
VERSION_TABLE = "schema_version"


def _config(conn: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    return config


def migrate(url: str | None = None) -> None:
    """Create or upgrade schemas, tables, roles and policies. Idempotent.

    The login user needs the right to create roles and schemas in the database.
    """
    with login_engine(url).connect() as conn:
        conn.execute(select(func.pg_advisory_lock(MIGRATION)))
        conn.commit()
        try:
            command.upgrade(_config(conn), "head")
            conn.commit()
        finally:
            conn.rollback()
            conn.execute(select(func.pg_advisory_unlock(MIGRATION)))
            conn.commit()


def run_scripts(revision: str, *parts: str) -> None:
    """For the migrations: run ``sql/<revision>_<part>.sql`` of each part, in order."""
    # Past SQLAlchemy, which would read "%" in a script as a parameter's mark.
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the connection is closed")
    for part in parts:
        file = Path(__file__).parent / "migrations" / "sql" / f"{revision}_{part}.sql"
        connection.execute(file.read_text(encoding="utf-8"))


def is_current(url: str | None = None) -> bool:
    """Whether the database has every migration that this code knows, and no other."""
    with login_engine(url).connect() as conn:
        return current(conn)


def current(conn: Connection) -> bool:
    """The same on an open connection (any role may ask)."""
    context = MigrationContext.configure(
        conn, opts={"version_table": VERSION_TABLE, "version_table_schema": VERSION_SCHEMA}
    )
    heads = set(ScriptDirectory.from_config(_config()).get_heads())
    try:
        return set(context.get_current_heads()) == heads
    except ProgrammingError:  # the schema is not there yet
        conn.rollback()
        return False
