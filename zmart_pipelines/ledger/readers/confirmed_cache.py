"""Transactions as they were read before, restored from the ledger.

A slot has one confirmed block, and a block decides what its transactions did: their outcome,
logs and instructions. So where the finalized listing repeats slot and outcome of what was read
by RPC at confirmed, reading it again could only return the same. What a webhook reported is
not reused, since it may be invented.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Engine, select

from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.model.decode import decode
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.ledger.rows.stored_readings import raw_transaction_from_row
from zmart_pipelines.store.tables import chain

_transactions = chain.transactions


def load_confirmed(
    engine: Engine, listed: Sequence[SignatureInfo], program: Pubkey
) -> list[RawTransaction]:
    """Load what of a finalized listing was read by RPC at confirmed and is listed unchanged.

    Incomplete readings are left out: another node may have the rest.
    """
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
            if decode(transaction, program).gap is None:
                found.append(transaction)
    return found
