"""Transactions that the API relays, as their senders and operators may see them: without bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, text

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.relayed_transactions import relayed_transactions as _table


class RelayedTransaction(msgspec.Struct, frozen=True):
    """One row. ``error`` is the transaction's at finalized, ``refusal`` the nodes' before."""

    signature: bytes
    fee_payer: bytes
    instructions: list[str]
    last_valid_block_height: int
    state: str
    sends: int
    refusal: str | None
    landed_slot: int | None
    error: Any
    received_at: datetime
    sent_at: datetime | None
    confirmed_at: datetime | None
    settled_at: datetime | None


NEWEST: Final = Order(
    "relayed_newest",
    (
        KeyColumn("received_at", _table.c.received_at, descending=True),
        KeyColumn("signature", _table.c.signature, descending=True),
    ),
)

# Of ``RelayedTransaction``, in the order of its fields.
COLUMNS: Final = [_table.c[name] for name in RelayedTransaction.__struct_fields__]


def relayed_transaction(conn: Connection, signature: bytes) -> RelayedTransaction | None:
    """Return the transaction with this signature, if it was relayed."""
    statement = select(*COLUMNS).where(_table.c.signature == signature)
    return next(iter(many(RelayedTransaction, conn.execute(statement))), None)


def relayed_of_wallet(
    conn: Connection, wallet: bytes, *, after: Key | None, limit: int, offset: int
) -> list[RelayedTransaction]:
    """Return a page of the transactions whose fee payer is the wallet, newest first.

    Args:
        after: Key in ``NEWEST`` of the last one of the page before.
    """
    statement = NEWEST.page(
        select(*COLUMNS).where(_table.c.fee_payer == wallet),
        after=after,
        limit=limit,
        offset=offset,
    )
    return many(RelayedTransaction, conn.execute(statement))


class OpenTransactions(msgspec.Struct, frozen=True):
    """How many relayed transactions have not come to their end, and since when the oldest waits."""

    number: int
    oldest: bytes | None
    state: str | None
    since: datetime | None


_OPEN: Final = text(
    """
SELECT count(*) AS number, min(received_at) AS since,
    (array_agg(signature ORDER BY received_at))[1] AS oldest,
    (array_agg(state ORDER BY received_at))[1] AS state
FROM ops.relayed_transactions WHERE settled_at IS NULL
"""
)


def open_transactions(conn: Connection) -> OpenTransactions:
    """Return what is open."""
    return one(OpenTransactions, conn.execute(_OPEN).one())
