"""Errors that say that Postgres is away, and nothing about the statement that met them."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html: connections, resources
# and operators; and transactions that the server ended because the client was away too long.
_CLASSES = ("08", "53", "57", "25P03", "25P04")


def is_outage(error: DBAPIError) -> bool:
    """Return whether Postgres could not be reached, was full, or ended the connection.

    An error that never reached the server has no code.
    """
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)
    return str(state).startswith(_CLASSES)


def is_outage_of_asyncpg(error: BaseException) -> bool:
    """Return the same for an error of asyncpg, which raises the system's errors as they are."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate or "").startswith(_CLASSES)
    if isinstance(error, asyncpg.InterfaceError):  # the connection was lost, or is closed
        return not isinstance(error, ValueError)  # an argument of the wrong type
    return isinstance(error, OSError)


def concerns_database(error: BaseException) -> bool:
    """Return whether an error concerns the database as a whole, and so all work on it alike."""
    if isinstance(error, DBAPIError) and is_outage(error):
        return True
    return isinstance(error, (OperationalError, InterfaceError, PoolTimeout))
