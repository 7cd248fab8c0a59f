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

from zmart_pipelines.settings import Settings, settings
from zmart_pipelines.store.commit_hooks import install_commit_hooks
from zmart_pipelines.store.idle_connections import replace_closed_connections

DRIVER = "postgresql+psycopg"

# Postgres cancels a statement that takes too long and says so; a server that says nothing for
# this many seconds more is frozen, and the connection is given up.
ANSWER_GRACE_SECONDS = 1.0
# An open transaction that does nothing holds its locks; Postgres ends it after so many seconds.
IDLE_IN_TRANSACTION_SECONDS = 120


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


def liveness_options(configuration: Settings) -> dict[str, int]:
    """Return libpq's options that end a connection to a machine that is gone.

    Keepalives test an idle connection, the user timeout one with unacknowledged data. Neither
    notices a server process that hangs on a machine that lives; for that see ``answer_seconds``
    of ``zmart_pipelines.store.commit_hooks.HookedConnection``.
    """
    silence = configuration.database_silence_seconds
    interval = max(1, silence // 4)
    return {
        "connect_timeout": configuration.database_connect_seconds,
        "keepalives": 1,
        "keepalives_idle": interval,
        "keepalives_interval": interval,
        "keepalives_count": 3,
        "tcp_user_timeout": silence * 1000,
    }


def login_engine(url: str | None = None) -> Engine:
    """Return an engine without a pool that keeps the login user's own role: for migrations."""
    return create_engine(
        database_url(url),
        poolclass=NullPool,
        connect_args=liveness_options(settings()) | {"application_name": "zmart-migrate"},
    )


def engine(
    role: Role,
    url: str | None = None,
    *,
    pool_size: int = 5,
    max_overflow: int = 5,
    pool_timeout: float = 5.0,
    statement_timeout: float | None = None,
) -> Engine:
    """Return an engine whose connections act as ``role``. The caller keeps it and disposes of it.

    A server that does not answer at all (stopped, swapped out, its disk hanging) raises
    OperationalError ``ANSWER_GRACE_SECONDS`` after the statement's timeout.

    Args:
        url: Default ``DATABASE_URL``; ``postgresql://`` and ``postgres://`` are accepted.
        pool_timeout: Seconds to wait for a connection of the pool.
        statement_timeout: Seconds after which Postgres cancels a statement; default
            ``DATABASE_STATEMENT_SECONDS``.
    """
    configuration = settings()
    if statement_timeout is None:
        statement_timeout = configuration.database_statement_seconds
    made = create_engine(
        database_url(url),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout,
        hide_parameters=True,
        connect_args=liveness_options(configuration)
        | {
            "application_name": role.value,
            "options": f"-c statement_timeout={int(statement_timeout * 1000)} -c timezone=UTC"
            f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS * 1000}",
        },
    )

    replace_closed_connections(made)
    install_commit_hooks(made, answer_seconds=statement_timeout + ANSWER_GRACE_SECONDS)

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
