"""Many statements without waiting for each: libpq's pipeline mode on SQLAlchemy's connection.

https://www.postgresql.org/docs/current/libpq-pipeline-mode.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError

from zmart_pipelines.store.engine import execute


class Statement(NamedTuple):
    """SQL in psycopg's own style and its parameters."""

    query: str
    parameters: tuple[Any, ...] = ()


def run(conn: Connection, statement: Statement) -> CursorResult[*tuple[Any, ...]]:
    """Run one statement and wait for it."""
    return execute(conn, statement.query, *statement.parameters)


Send = Callable[[Statement], "psycopg.Cursor[Any]"]


@contextmanager
def pipelined(conn: Connection) -> Iterator[Send]:
    """Statements sent one after the other, in the connection's transaction.

    Sending does not wait; reading a cursor waits for that statement and those before it,
    leaving the block for all. Within it nothing else may use the connection. The first
    statement that fails ends the block with SQLAlchemy's error, as anywhere else.
    """
    if not conn.in_transaction():
        conn.begin()
    raw = conn.connection.driver_connection
    if raw is None:
        raise RuntimeError("the connection is closed")

    def send(statement: Statement) -> psycopg.Cursor[Any]:
        cursor: psycopg.Cursor[Any] = raw.cursor(binary=True)
        return cursor.execute(statement.query, statement.parameters)

    try:
        with raw.pipeline():
            yield send
    except psycopg.Error as error:
        if raw.broken:
            conn.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, hide_parameters=True, dialect=conn.dialect
        ) from error
