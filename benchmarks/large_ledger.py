"""Multiply a small ledger into a large one: every row is copied many times, for other markets.

The copying happens inside Postgres, so that a million events take minutes instead of hours. A
copy has its own market ids, addresses, signatures and slots, so that its events fold as the
original's do. Logs, instructions and the JSON of events, which the fold does not read, stay
those of the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import Table

from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM
from zmart_pipelines.store.tables import chain, market

# Row ``s`` as it is in copy %(copy)s; ``c`` maps its market to the copy.
_SIGNATURE: Final = {"signature": SQL("sha512(s.signature || int4send(%(copy)s::int4))")}
_SLOT: Final = {"slot": SQL("s.slot + %(copy)s::int8 * %(span)s")}
_AS_OF: Final = {"as_of_slot": SQL("s.as_of_slot + %(copy)s::int8 * %(span)s")}
_MARKET: Final = {"market_id": SQL("c.id")}
_ADDRESS: Final = {"address": SQL("c.address")}
# The discriminator, then the market id; in a claim the market address.
_RAW: Final = {
    "raw": SQL(
        "overlay(s.raw PLACING CASE s.name WHEN 'WinningsClaimed' THEN c.address ELSE c.id END"
        " FROM 9 FOR 32)"
    )
}
_ROW: Final = _MARKET | _SIGNATURE | _SLOT
_CHANGED: Final[Mapping[Table, Mapping[str, SQL]]] = {
    chain.transactions: _SIGNATURE | _SLOT,
    chain.events: _ROW | _RAW,
    market.markets: _MARKET | _ADDRESS | _AS_OF,
    market.positions: _MARKET | _AS_OF,
    market.trades: _ROW,
    market.claims: _ROW,
    market.chain_votes: _ROW,
    market.withdrawals: _ROW,
}


def market_id_in_copy(market_id: bytes, copy: int) -> bytes:
    """Return the id of a market in a copy; number 0 is the original."""
    return sha256(market_id + copy.to_bytes(4, "big")).digest() if copy else market_id


def finalize_all(connection: psycopg.Connection) -> None:
    """Promote everything to finalized, like nearly all rows of a ledger in service."""
    for table in _CHANGED:
        if "commitment" in table.c:
            connection.execute(SQL("UPDATE {} SET commitment = 'finalized'").format(_name(table)))
    connection.commit()


def vacuum(connection: psycopg.Connection) -> None:
    """Vacuum and checkpoint, as autovacuum and the checkpointer would do sooner or later."""
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")


def multiply(connection: psycopg.Connection, copies: int, span: int) -> None:
    """Multiply the ledger to ``copies`` copies, each ``span`` slots after the one before.

    The connection is a superuser's: foreign keys are not checked row by row.
    """
    connection.execute("SET session_replication_role = replica")
    _call(connection, copies)
    for table, changed in _CHANGED.items():
        for copy in range(1, copies):
            connection.execute(_copy(table, changed), {"copy": copy, "span": span})
        connection.commit()


def _call(connection: psycopg.Connection, copies: int) -> None:
    connection.execute(
        "CREATE TEMP TABLE market_id_in_copy (copy int4, original bytea, id bytea, address bytea,"
        " PRIMARY KEY (copy, original))"
    )
    ids = [row[0] for row in connection.execute("SELECT market_id FROM market.markets")]
    with connection.cursor().copy("COPY market_id_in_copy FROM STDIN") as target:
        for copy in range(copies):
            for one in ids:
                name = market_id_in_copy(one, copy)
                target.write_row((copy, one, name, market_address_bytes(PROGRAM, name)))
    # Rows copied before are not originals.
    for table in _CHANGED:
        connection.execute(
            SQL("CREATE TEMP TABLE {} AS SELECT * FROM {}").format(_original(table), _name(table))
        )
    connection.execute("ANALYZE")


def _copy(table: Table, changed: Mapping[str, SQL]) -> Composed:
    names = [column.name for column in table.columns]
    join = SQL("JOIN market_id_in_copy AS c ON c.copy = %(copy)s AND c.original = s.market_id")
    return SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS s {}").format(
        _name(table),
        SQL(", ").join([Identifier(name) for name in names]),
        SQL(", ").join([changed.get(name) or Identifier("s", name) for name in names]),
        _original(table),
        join if "market_id" in changed else SQL(""),
    )


def _name(table: Table) -> Identifier:
    return Identifier(str(table.schema), table.name)


def _original(table: Table) -> Identifier:
    return Identifier(f"original_{table.name}")
