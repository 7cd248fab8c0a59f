"""Fill an empty database from a dump, as its owner; no superuser is needed."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final, Protocol

import psycopg
from psycopg import sql

from zmart_pipelines.backup.client_programs import writing_to
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.store.engine import Role, libpq_url

_SCHEMAS: Final = ("accounts", "chain", "community", "dagster", "market", "ops", "voting")


class WriteDump(Protocol):
    """Writes the dump, in clear."""

    def __call__(self, target: IO[bytes], /) -> None:
        """Write all of it."""
        ...


def existing_schemas(conn: psycopg.Connection) -> list[str]:
    """Return which of our schemas the database has; none if it is empty."""
    found = conn.execute(
        "SELECT nspname::text FROM pg_namespace WHERE nspname = ANY(%s) ORDER BY 1",
        (list(_SCHEMAS),),
    )
    return [name for (name,) in found]


def drop_schemas(url: str) -> None:
    """Delete everything of ours from the database, as its owner."""
    with psycopg.connect(libpq_url(url)) as conn:
        roles = _existing_roles(conn)
        _inherit(conn, roles)
        for schema in existing_schemas(conn):
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        conn.execute("DROP TABLE IF EXISTS public.schema_version")
        _inherit(conn, roles, on=False)


def restore_dump(url: str, programs: Path, write: WriteDump) -> None:
    """Create what the dump contains, with its owners, grants and policies.

    Args:
        url: The owner of an empty database. It creates the roles that are missing (CREATEROLE)
            and has their rights until the dump is restored.
        programs: Folder of ``pg_restore``.
        write: Writes the dump.

    Raises:
        BackupError: The database is not empty, or the restore failed; it may then contain a part.
    """
    with psycopg.connect(libpq_url(url), autocommit=True) as conn:
        if existing := existing_schemas(conn):
            raise BackupError(f"the database is not empty: it has schema {', '.join(existing)}")
        _create_roles(conn)
        _inherit(conn, [role.value for role in Role])
        database = sql.Identifier(conn.info.dbname)
        conn.execute(
            sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                database, sql.Identifier(Role.OWNER.value)
            )
        )
        try:
            command = (programs / "pg_restore", "--dbname", conn.info.dbname, "--exit-on-error")
            with writing_to(command, url) as target:
                write(target)
        finally:
            _inherit(conn, [role.value for role in Role], on=False)


def _existing_roles(conn: psycopg.Connection) -> list[str]:
    names = [role.value for role in Role]
    found = conn.execute("SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)", (names,))
    return [name for (name,) in found]


def _create_roles(conn: psycopg.Connection) -> None:
    existing = _existing_roles(conn)
    for role in Role:
        if role.value not in existing:
            conn.execute(
                sql.SQL("CREATE ROLE {} NOLOGIN NOINHERIT").format(sql.Identifier(role.value))
            )


def _inherit(conn: psycopg.Connection, roles: list[str], *, on: bool = True) -> None:
    """Give the connection's user the rights of the roles, or take them away again.

    Without them it may act as a role, as migrations do, but ``pg_restore`` does not.
    """
    for name in roles:
        if on:
            statement = "GRANT {} TO CURRENT_USER WITH SET TRUE, INHERIT TRUE"
        elif name in _ACTED_AS:
            statement = "GRANT {} TO CURRENT_USER WITH SET TRUE, INHERIT FALSE"
        else:
            statement = "REVOKE {} FROM CURRENT_USER GRANTED BY CURRENT_USER"
        conn.execute(sql.SQL(statement).format(sql.Identifier(name)))


# As which the migrations let their user act.
_ACTED_AS: Final = frozenset(
    role.value for role in (Role.OWNER, Role.INGEST, Role.API, Role.PIPELINES, Role.READ)
)
