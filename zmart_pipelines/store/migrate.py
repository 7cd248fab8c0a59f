"""Migrate a database to the current schema, and report whether it is current.

``migrate`` may be called by several processes at once: a session-level lock lets one of them
work while the others wait and then find nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import ProgrammingError

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.engine import login_engine
from zmart_pipelines.store.locks import MIGRATION

VERSION_SCHEMA = "public"
VERSION_TABLE = "schema_version"

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
# The revisions that a database has; for ``are_current``.
APPLIED: Final = f"SELECT version_num FROM {VERSION_SCHEMA}.{VERSION_TABLE}"  # noqa: S608


class UnknownRevision(Exception):
    """The database has a revision that this version's migrations do not contain.

    It was created by another version, and there is no migration path from it.
    """

    def __init__(self, revisions: frozenset[str]) -> None:
        """Describe the revisions found, and the way out of it."""
        self.revisions = revisions
        super().__init__(
            f"the database has schema revision {', '.join(sorted(revisions))}, which this version "
            "of zmart does not know and cannot migrate. The embedded database is recreated by "
            "`zmart reset`; for another one set DATABASE_URL to an empty database."
        )


def _config(conn: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = conn
    return config


def _applied(conn: Connection) -> frozenset[str]:
    """Return the revisions that the database has; none where it was never migrated."""
    context = MigrationContext.configure(
        conn, opts={"version_table": VERSION_TABLE, "version_table_schema": VERSION_SCHEMA}
    )
    return frozenset(context.get_current_heads())


def reject_unknown(conn: Connection) -> None:
    """Raise UnknownRevision if the database has a revision that this version does not have."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if unknown := _applied(conn) - known:
        raise UnknownRevision(unknown)


def migrate(url: str, revision: str = "head") -> None:
    """Create or upgrade schemas, tables, roles and policies. Idempotent.

    Args:
        url: The login that owns the database; it needs the right to create roles and schemas.
        revision: Up to which revision.

    Raises:
        UnknownRevision: The database was migrated by a version with other migrations.
    """
    with login_engine(url).connect() as conn:
        conn.execute(select(func.pg_advisory_lock(MIGRATION)))
        conn.commit()
        try:
            reject_unknown(conn)
            command.upgrade(_config(conn), revision)
            conn.commit()
        finally:
            conn.rollback()
            conn.execute(select(func.pg_advisory_unlock(MIGRATION)))
            conn.commit()


def run_scripts(*names: str) -> None:
    """Run ``sql/<name>.sql`` of each name, in order. For the migrations.

    ``{{PROPOSED}}`` and the like stand for the numbers of ``MarketState``.
    """
    # Not through SQLAlchemy, which would read "%" in a script as a parameter's placeholder.
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the connection is closed")
    for name in names:
        script = (_MIGRATIONS / "sql" / f"{name}.sql").read_text(encoding="utf-8")
        for state in MarketState:
            script = script.replace(f"{{{{{state.name}}}}}", str(state.value))
        connection.execute(script)


def is_current(url: str) -> bool:
    """Return whether the database has every migration that this code has, and no other."""
    with login_engine(url).connect() as conn:
        return has_current_schema(conn)


@cache
def _heads() -> frozenset[str]:
    """Return the newest revisions of this version's migrations; reading the files costs 10 ms."""
    return frozenset(ScriptDirectory.from_config(_config()).get_heads())


def are_current(revisions: Iterable[str]) -> bool:
    """Return whether these are the newest revisions of this version's migrations."""
    return frozenset(revisions) == _heads()


def has_current_schema(conn: Connection) -> bool:
    """Return the same for an open connection, whatever its role. One statement."""
    try:
        return are_current(conn.execute(text(APPLIED)).scalars())
    except ProgrammingError:  # the role may not read the version table yet
        conn.rollback()
        return False
