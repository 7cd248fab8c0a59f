"""Connections to Postgres, one role each.

The user of ``DATABASE_URL`` logs in; every connection then switches to the role that its work
needs (``SET ROLE``), so that the API cannot write the ledger and a reader cannot write at
all. Who may do what is in the migration ``sql/0001_privileges.sql``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Engine,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from zmart_pipelines.settings import settings
from zmart_pipelines.store.commit_hooks import install_commit_hooks
from zmart_pipelines.store.idle_connections import replace_closed_connections

DRIVER = "postgresql+psycopg"


class Role(StrEnum):
    """The database's roles; the values are their names in Postgres."""

    OWNER = "zmart_owner"
    INGEST = "zmart_ingest"
    API = "zmart_api"
    PIPELINES = "zmart_pipelines"
    READ = "zmart_read"


def database_url(url: str | None = None) -> URL:
    """``url`` (default: ``DATABASE_URL``) in SQLAlchemy's form, with psycopg 3.

    Raises:
        ValueError: The URL is not one of Postgres.
    """
    parsed = make_url(url or settings().database_url.get_secret_value())
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError("DATABASE_URL must start with postgresql://")
    return parsed.set(drivername=DRIVER)


def login_engine(url: str | None = None) -> Engine:
    """Return an engine without a pool that keeps the login user's own role: for migrations."""
    return create_engine(
        database_url(url),
        poolclass=NullPool,
        connect_args={"connect_timeout": 5, "application_name": "zmart-migrate"},
    )


def engine(
    role: Role,
    url: str | None = None,
    *,
    pool_size: int = 5,
    max_overflow: int = 5,
    statement_timeout: float = 30.0,
) -> Engine:
    """Return an engine whose connections act as ``role``. The caller keeps it and disposes of it.

    Args:
        url: Default ``DATABASE_URL``; ``postgresql://`` and ``postgres://`` are accepted.
        statement_timeout: Seconds after which Postgres cancels a statement.
    """
    made = create_engine(
        database_url(url),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=5,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": role.value,
            "options": f"-c statement_timeout={int(statement_timeout * 1000)}"
            " -c timezone=UTC -c idle_in_transaction_session_timeout=120000",
        },
    )

    replace_closed_connections(made)
    install_commit_hooks(made)

    @event.listens_for(made, "connect")
    def set_role(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET ROLE {role.value}")
        cursor.close()
        connection.commit()

    return made


def execute(conn: Connection, query: str, *parameters: Any) -> CursorResult[*tuple[Any, ...]]:
    """Run SQL in psycopg's own style; errors are SQLAlchemy's.

    ``%b`` sends a parameter in binary, which makes arrays fast and which SQLAlchemy does not offer.
    """
    return conn.exec_driver_sql(query, parameters)


def act_as(conn: Connection, wallet: bytes | None) -> None:
    """Make ``wallet`` the identity of this transaction, which row-level security reads.

    It ends with the transaction. None withdraws it.
    """
    identity = wallet.hex() if wallet is not None else ""
    conn.execute(select(func.set_config("app.wallet", identity, True)))
