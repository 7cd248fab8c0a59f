"""The rival of ingesting: the same rows, written by bare COPY.

The rows that each transaction of the ledger wrote are known beforehand, as Python values.
The rival copies them into temporary tables and upserts from there. It decodes, checks, folds
and reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import ColumnClause, Connection, Table, Text, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from zmart_pipelines.store.tables import chain, market, ops

TABLES: Final[tuple[Table, ...]] = (
    chain.transactions,
    chain.events,
    market.config_history,
    market.markets,
    market.positions,
    market.trades,
    market.claims,
    market.chain_votes,
    market.withdrawals,
    ops.stream,
)
# The transaction that wrote a row, without its epoch.
_XMIN: Final[ColumnClause[int]] = literal_column("xmin::text::bigint")


class Written(NamedTuple):
    """Rows of one table."""

    table: Table
    rows: list[tuple[Any, ...]]


def written_rows(conn: Connection, *, last: bool) -> list[Written]:
    """Return the rows that the last transaction with a reading wrote, or all rows.

    JSON is returned as text.
    """
    xid = conn.execute(select(func.max(chain.transactions.c.xid))).scalar_one()
    found = []
    for table in TABLES:
        columns = [
            cast(column, Text) if isinstance(column.type, JSONB) else column
            for column in table.columns
        ]
        query = select(*columns)
        if last:
            query = query.where(xid & 0xFFFF_FFFF == _XMIN)
        rows = conn.execute(query).all()
        if rows:
            found.append(Written(table, [tuple(row) for row in rows]))
    return found


class Copier:
    """Writes rows by COPY."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._statements = {table: _insert(table) for table in TABLES}
        for table in TABLES:
            connection.execute(
                SQL(
                    "CREATE TEMP TABLE {} ON COMMIT DELETE ROWS AS SELECT * FROM {} LIMIT 0"
                ).format(_temporary(table), _name(table))
            )
        connection.commit()

    def write(self, rows: Sequence[Written]) -> None:
        """Write the rows in one transaction and commit."""
        with self._connection.cursor() as cursor:
            for table, values in rows:
                names = SQL(", ").join([Identifier(column.name) for column in table.columns])
                copy = SQL("COPY {} ({}) FROM STDIN").format(_temporary(table), names)
                with cursor.copy(copy) as target:
                    for row in values:
                        target.write_row(row)
                cursor.execute(self._statements[table])
        self._connection.commit()


def _temporary(table: Table) -> Identifier:
    return Identifier(f"sent_{table.name}")


def _name(table: Table) -> Identifier:
    return Identifier(str(table.schema), table.name)


def _insert(table: Table) -> Composed:
    keys = SQL(", ").join([Identifier(column.name) for column in table.primary_key])
    names = SQL(", ").join([Identifier(column.name) for column in table.columns])
    sets = SQL(", ").join(
        [
            SQL("{0} = excluded.{0}").format(Identifier(column.name))
            for column in table.columns
            if not column.primary_key
        ]
    )
    return SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        _name(table), names, names, _temporary(table), keys, sets
    )


def contents(conn: Connection) -> str:
    """Return a hash of all rows of the tables."""
    found = blake2b(digest_size=16)
    for table in TABLES:
        for row in conn.execute(select(table).order_by(*table.primary_key)):
            found.update(repr(tuple(row)).encode())
    return found.hexdigest()
