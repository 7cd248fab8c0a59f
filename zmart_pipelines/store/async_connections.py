"""asyncpg's connections, with the logins and limits of ``zmart_pipelines.store.engine``.

What ``SET`` would do once per connection is sent with its start, and costs no round trip.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy import make_url

from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, libpq_url, login_url

# Parameters of a URL that only libpq knows; asyncpg would send them to the server.
_OF_LIBPQ: Final = (
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
)
# Texts of statements that a connection keeps prepared.
_STATEMENTS: Final = 500
_SERVER: Final = """
SELECT pg_postmaster_start_time()::text,
    (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class ServerIdentity(NamedTuple):
    """A run of a server and a database in it: within it a transaction id names one transaction."""

    started: str
    database: int


class OpenConnection(NamedTuple):
    """A connection, and which server answers on it."""

    raw: asyncpg.Connection
    server: ServerIdentity


async def open_connection(
    role: Role,
    settings: Settings,
    *,
    seconds: float,
    statement_timeout: float,
    read_only: bool,
    plan_once: bool,
) -> OpenConnection:
    """Connect with the login of ``role``, for statements without explicit transactions.

    Args:
        role: Whose login is used.
        settings: Have the URL of the login.
        seconds: Time for the connection.
        statement_timeout: Seconds after which Postgres cancels a statement.
        read_only: Refuse to write, whatever the role may.
        plan_once: Plan a statement once, whatever its arguments. Planning costs more than most
            short reads, and Postgres itself plans an ``= ANY`` or ``OFFSET`` each time.

    Raises:
        MissingLogin: The settings have no URL for the role.
        TimeoutError: The server did not answer in time.
        OSError: The server cannot be reached.
        asyncpg.PostgresError: It refuses the connection.
    """
    url = make_url(libpq_url(login_url(role, settings)))
    options: dict[str, Any] = {
        "application_name": role.value,
        "default_transaction_read_only": "on" if read_only else "off",
        "jit": "off",
        "plan_cache_mode": "force_generic_plan" if plan_once else "auto",
        "statement_timeout": str(int(statement_timeout * 1000)),
        "timezone": "UTC",
    }
    raw = await asyncpg.connect(
        url.difference_update_query(_OF_LIBPQ).render_as_string(hide_password=False),
        timeout=seconds,
        server_settings=options,
        statement_cache_size=_STATEMENTS,
        max_cached_statement_lifetime=0,
    )
    try:
        row = await raw.fetchrow(_SERVER, timeout=seconds)
    except BaseException:
        raw.terminate()
        raise
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return OpenConnection(raw, ServerIdentity(row[0], row[1]))
