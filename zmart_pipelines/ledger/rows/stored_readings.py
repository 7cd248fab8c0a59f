"""Transactions restored from their rows of ``chain.transactions``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from zmart_pipelines import base58
from zmart_pipelines.chain.transactions import ProgramInstruction, RawTransaction
from zmart_pipelines.ledger.rows.event_rows import ReadingKey
from zmart_pipelines.store.tables import chain

_transactions = chain.transactions


class _StoredInstruction(msgspec.Struct):
    index: int
    inner_index: int | None
    accounts: list[str]
    data: str


def raw_transaction_from_row(row: Any) -> RawTransaction:
    """Restore a transaction from its row of ``chain.transactions``."""
    return RawTransaction(
        signature_text=base58.encode(row.signature),
        slot=row.slot,
        index_in_block=row.index_in_block,
        block_time=row.block_time,
        error=row.error,
        fee=row.fee,
        logs=msgspec.json.decode(row.logs, type=list[str]),
        instructions=[
            ProgramInstruction(
                instruction.index,
                instruction.inner_index,
                instruction.accounts,
                bytes.fromhex(instruction.data),
            )
            for instruction in msgspec.convert(row.instructions, list[_StoredInstruction])
        ],
    )


def load_raw_transactions(
    conn: Connection, keys: Collection[ReadingKey]
) -> dict[ReadingKey, RawTransaction]:
    """Load these readings as they were read, by key."""
    if not keys:
        return {}
    rows = conn.execute(
        select(_transactions).where(
            tuple_(_transactions.c.signature, _transactions.c.digest).in_(list(keys))
        )
    )
    return {(row.signature, row.digest): raw_transaction_from_row(row) for row in rows}
