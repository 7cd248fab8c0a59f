"""Readings that the ledger holds already, as they were read.

A slot has one confirmed block, and a block decides what its transactions did: their outcome,
logs and instructions. So where the finalized listing repeats slot and outcome of what was read
by RPC at confirmed, reading it again could only say the same. What a webhook told is not
recalled, since it may be invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Engine, select

from zmart_pipelines import base58
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.transactions import ProgramInstruction, RawTransaction
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.store.tables import chain

_transactions = chain.transactions


class _StoredInstruction(msgspec.Struct):
    index: int
    inner_index: int | None
    accounts: list[str]
    data: str


def raw_transaction_from_row(row: Any) -> RawTransaction:
    """The transaction of a row of ``chain.transactions`` as it was read."""
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
                one.index,
                one.inner_index,
                one.accounts,
                bytes.fromhex(one.data),
            )
            for one in msgspec.convert(row.instructions, list[_StoredInstruction])
        ],
    )


def load_confirmed(engine: Engine, listed: Sequence[SignatureInfo]) -> list[RawTransaction]:
    """Of a finalized listing, what was read by RPC at confirmed and is listed just so."""
    told = {one.signature: one for one in listed}
    with engine.connect() as conn:
        rows = conn.execute(
            select(_transactions).where(
                _transactions.c.signature.in_(list(told)),
                _transactions.c.commitment == Commitment.CONFIRMED.value,
                _transactions.c.block_time.isnot(None),
            )
        ).all()
    found = []
    for row in rows:
        one = told[row.signature]
        if (row.slot, row.error) == (one.slot, one.error):
            reading = raw_transaction_from_row(row)
            if one.index_in_block is not None:
                reading = msgspec.structs.replace(reading, index_in_block=one.index_in_block)
            found.append(reading)
    return found
