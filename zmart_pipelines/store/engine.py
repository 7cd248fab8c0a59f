"""Connections to Postgres, one login per role.

Each role has its own login (``DATABASE_URL_API`` and so on), and none may become another: the API
cannot write the ledger, and a reader cannot write at all. A process is given the logins that it
uses. ``DATABASE_URL`` is the login that migrates; only it may act as the owner of the tables. Who
may do what is in the migrations.
"""

from __future__ import annotations

import weakref
from enum import StrEnum
from typing import Any, Final

from pydantic import SecretStr
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

from zmart_pipelines.settings import Settings
from zmart_pipelines.settings import settings as process_settings
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
    DAGSTER = "zmart_dagster"
    BACKUP = "zmart_backup"

    @property
    def setting(self) -> str:
        """The name of the setting with the URL of this role's login."""
        if self is Role.OWNER:
            return "database_url"
        return f"database_url_{self.value.removeprefix('zmart_')}"


# The roles that log in themselves.
LOGINS: Final = tuple(role for role in Role if role is not Role.OWNER)


_OPEN: Final[weakref.WeakKeyDictionary[Engine, Role]] = weakref.WeakKeyDictionary()


def open_engines() -> list[tuple[Engine, Role]]:
    """Return the engines of this process with their roles; disposed ones as long as they exist."""
    return list(_OPEN.items())


class MissingLogin(RuntimeError):
    """The settings have no URL for a role's login; the message names the remedy."""


def login_url(role: Role, settings: Settings) -> str:
    """Return the URL of a role's login, with its password.

    Raises:
        MissingLogin: The settings have none.
    """
    url: SecretStr | None = getattr(settings, role.setting)
    if url is None:
        raise MissingLogin(
            f"{role.setting.upper()} is not set: this process has no login for {role.value}. Run"
            " zmart migrate, which creates the logins, or set it to the URL of one."
        )
    return url.get_secret_value()


def database_url(url: str) -> URL:
    """``url`` in SQLAlchemy's form, with psycopg 3.

    Raises:
        ValueError: The URL is not one of Postgres.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError("DATABASE_URL must start with postgresql://")
    return parsed.set(drivername=DRIVER)


def liveness_options(settings: Settings) -> dict[str, int]:
    """Return libpq's options that end a connection to a machine that is gone.

    Keepalives test an idle connection, the user timeout one with unacknowledged data. Neither
    notices a server process that hangs on a machine that lives; for that see ``answer_seconds``
    of ``zmart_pipelines.store.commit_hooks.HookedConnection``.
    """
    silence = settings.database_silence_seconds
    interval = max(1, silence // 4)
    return {
        "connect_timeout": settings.database_connect_seconds,
        "keepalives": 1,
        "keepalives_idle": interval,
        "keepalives_interval": interval,
        "keepalives_count": 3,
        "tcp_user_timeout": silence * 1000,
    }


def libpq_url(url: str) -> str:
    """Return ``url`` as psycopg itself takes it, whatever driver it names; with its password."""
    parsed = database_url(url).set(drivername="postgresql")
    return parsed.render_as_string(hide_password=False)


def login_engine(url: str) -> Engine:
    """Return an engine without a pool whose connections act as the user of the URL."""
    return create_engine(
        database_url(url),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=liveness_options(process_settings()) | {"application_name": "zmart-migrate"},
    )


def engine(
    role: Role,
    settings: Settings,
    *,
    pool_size: int = 5,
    max_overflow: int = 5,
    pool_timeout: float = 5.0,
    statement_timeout: float | None = None,
) -> Engine:
    """Return an engine with the login of ``role``. The caller keeps it and disposes of it.

    A server that does not answer at all (stopped, swapped out, its disk hanging) raises
    OperationalError ``ANSWER_GRACE_SECONDS`` after the statement's timeout.

    Args:
        role: The role whose login is used. The owner's connections switch to it (``SET ROLE``),
            because the login of ``DATABASE_URL`` may be any user.
        settings: Have the URL of the login.
        pool_size: Connections that are kept open.
        max_overflow: Connections beyond these, opened while they are needed.
        pool_timeout: Seconds to wait for a connection of the pool.
        statement_timeout: Seconds after which Postgres cancels a statement; default
            ``DATABASE_STATEMENT_SECONDS``.

    Raises:
        MissingLogin: The settings have no URL for the role.
    """
    if statement_timeout is None:
        statement_timeout = settings.database_statement_seconds
    made = create_engine(
        database_url(login_url(role, settings)),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout,
        hide_parameters=True,
        connect_args=liveness_options(settings)
        | {
            "application_name": role.value,
            "options": f"-c statement_timeout={int(statement_timeout * 1000)} -c timezone=UTC"
            f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS * 1000}",
        },
    )

    replace_closed_connections(made)
    install_commit_hooks(made, answer_seconds=statement_timeout + ANSWER_GRACE_SECONDS)

    _OPEN[made] = role
    if role is Role.OWNER:
        event.listen(made, "connect", _become_owner)
    return made


def _become_owner(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET ROLE {Role.OWNER.value}")
    cursor.close()
    connection.commit()


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


def act_as_operator(conn: Connection, wallet: bytes | None) -> None:
    """Let this transaction act for an operator, whom the caller has checked.

    Row-level security then shows and takes what is the operators' alone, such as the audit log. It
    ends with the transaction.

    Args:
        conn: The transaction.
        wallet: The operator's wallet; None for a service, which has none.
    """
    act_as(conn, wallet)
    conn.execute(select(func.set_config("app.operator", "on", True)))


def act_as_relay(conn: Connection) -> None:
    """Let this transaction drive the relayed transactions of all wallets; it ends with it."""
    conn.execute(select(func.set_config("app.relay", "on", True)))
