"""Many rows in one statement: arrays in binary, unnested by Postgres.

About twice as fast as text parameters and four times as fast as a statement per row, and
unlike COPY it can skip what is there and say what was new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import Boolean, Column, Connection, LargeBinary, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables.base import COMMITMENT

_dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def _type(column: Column[Any]) -> str:
    """The column's type in Postgres."""
    return column.type.compile(dialect=_dialect).lower()


def _sent_as(column: Column[Any]) -> str:
    """The type in which a column's values travel."""
    if isinstance(column.type, (JSONB, Text)) or column.type is COMMITMENT:
        return "text"
    if isinstance(column.type, LargeBinary):
        return "bytea"
    return "boolean" if isinstance(column.type, Boolean) else _type(column)


def _stored_as(column: Column[Any]) -> Composed:
    """How a value that travelled becomes the column's."""
    if isinstance(column.type, JSONB) or column.type is COMMITMENT:
        return SQL("{}::{}").format(Identifier(column.name), SQL(_type(column)))
    return SQL("{}").format(Identifier(column.name))


def _names(columns: Sequence[str]) -> Composed:
    return SQL(", ").join([Identifier(name) for name in columns])


@lru_cache(maxsize=64)
def sent_rows(table: Table, columns: tuple[str, ...]) -> Composed:
    """``SELECT … FROM unnest(…)``: rows of these columns from one array each (``%b``)."""
    picked = [table.c[name] for name in columns]
    return SQL("SELECT {} FROM unnest({}) AS sent ({})").format(
        SQL(", ").join([_stored_as(column) for column in picked]),
        SQL(", ").join([SQL("%b::{}[]").format(SQL(_sent_as(column))) for column in picked]),
        _names(columns),
    )


@lru_cache(maxsize=64)
def _insert(table: Table, columns: tuple[str, ...], tail: str) -> str:
    return (
        SQL("INSERT INTO {} ({}) {} {}")
        .format(
            Identifier(str(table.schema), table.name),
            _names(columns),
            sent_rows(table, columns),
            SQL(tail),
        )
        .as_string(None)
    )


@lru_cache(maxsize=64)
def _upsert(table: Table, columns: tuple[str, ...]) -> str:
    key = [column.name for column in table.primary_key]
    sets = [
        SQL("{0} = excluded.{0}").format(Identifier(name)) for name in columns if name not in key
    ]
    return (
        SQL("INSERT INTO {} ({}) {} ON CONFLICT ({}) DO UPDATE SET {}")
        .format(
            Identifier(str(table.schema), table.name),
            _names(columns),
            sent_rows(table, columns),
            _names(key),
            SQL(", ").join(sets),
        )
        .as_string(None)
    )


def _arrays(rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...]) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in columns]


def insert_rows(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]], tail: str = ""
) -> list[tuple[Any, ...]]:
    """Insert rows that all have the same columns; JSONB values are given as JSON text.

    :param tail: what follows the values: ``ON CONFLICT …``, ``RETURNING …``.
    :returns: the rows of ``RETURNING``, if any.
    """
    if not rows:
        return []
    columns = tuple(rows[0])
    result = execute(conn, _insert(table, columns, tail), *_arrays(rows, columns))
    return [tuple(row) for row in result] if result.returns_rows else []


def upsert_rows(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or give those that are there (by primary key) the new values."""
    if rows:
        columns = tuple(rows[0])
        execute(conn, _upsert(table, columns), *_arrays(rows, columns))


@lru_cache(maxsize=64)
def _delete(table: Table) -> str:
    key = tuple(column.name for column in table.primary_key)
    return (
        SQL("DELETE FROM {} WHERE ({}) IN ({})")
        .format(Identifier(str(table.schema), table.name), _names(key), sent_rows(table, key))
        .as_string(None)
    )


def delete_rows(conn: Connection, table: Table, keys: Sequence[Sequence[Any]]) -> None:
    """Delete rows by their primary keys, given in the order of its columns."""
    if keys:
        execute(conn, _delete(table), *[list(column) for column in zip(*keys, strict=True)])
