"""Transactions as they were read before, restored from the ledger.

A slot has one confirmed block, and a block decides what its transactions did: their outcome,
logs and instructions. So where the finalized listing repeats slot and outcome of what was read
by RPC at confirmed, reading it again could only return the same. What a webhook reported is
not reused, since it may be invented.
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


def load_confirmed(engine: Engine, listed: Sequence[SignatureInfo]) -> list[RawTransaction]:
    """Load what of a finalized listing was read by RPC at confirmed and is listed unchanged."""
    by_signature = {row.signature: row for row in listed}
    with engine.connect() as conn:
        stored = conn.execute(
            select(_transactions).where(
                _transactions.c.signature.in_(list(by_signature)),
                _transactions.c.commitment == Commitment.CONFIRMED.value,
                _transactions.c.block_time.isnot(None),
            )
        ).all()
    found = []
    for row in stored:
        listing = by_signature[row.signature]
        if (row.slot, row.error) == (listing.slot, listing.error):
            transaction = raw_transaction_from_row(row)
            if listing.index_in_block is not None:
                transaction = msgspec.structs.replace(
                    transaction, index_in_block=listing.index_in_block
                )
            found.append(transaction)
    return found
