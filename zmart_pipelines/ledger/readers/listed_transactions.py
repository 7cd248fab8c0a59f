"""Which transactions of a listing must be read, and ingesting them as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines import base58
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.signature_listing import ContradictoryListing
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers.listing_windows import ListingWindow
from zmart_pipelines.ledger.readers.rpc_reader import TransactionRef, UnreadTransaction
from zmart_pipelines.ledger.rows import event_rows
from zmart_pipelines.store.tables import chain

# Transactions ingested in one database transaction.
CHUNK_SIZE: Final = 200


def transactions_to_read(
    engine: Engine,
    listed: Sequence[SignatureInfo],
    commitment: Commitment,
    *,
    is_of_program: bool = True,
) -> list[TransactionRef]:
    """Return what of a listing is not stored at this commitment and in the listed slot.

    What was read before it was finalized has to be read again at finalized: until then it may
    have moved.

    Args:
        is_of_program: whether it is the listing of the program's own address.
    """
    if not listed:
        return []
    table = chain.transactions
    with engine.connect() as conn:
        rows = conn.execute(
            select(table.c.signature, table.c.slot, table.c.commitment).where(
                table.c.signature.in_([row.signature for row in listed]),
                table.c.commitment != Commitment.ORPHANED.value,
            )
        ).all()
    stored_slots = {
        row.signature: row.slot
        for row in rows
        if Commitment(row.commitment).rank >= commitment.rank
    }
    return [
        TransactionRef.of_listing(row, is_of_program=is_of_program)
        for row in listed
        if stored_slots.get(row.signature) != row.slot
    ]


def refuse_incomplete_window(engine: Engine, window: ListingWindow) -> None:
    """Refuse a window that lacks a transaction which the ledger read at finalized.

    Such a listing proves nothing about the window's other slots either.

    Raises:
        ContradictoryListing: a transaction is missing.
    """
    table = chain.transactions
    with engine.connect() as conn:
        rows = conn.execute(
            select(table.c.signature, table.c.slot).where(
                table.c.slot.between(window.first_slot, window.last_slot),
                table.c.commitment == Commitment.FINALIZED.value,
                # Those that only a market's address listed need not name the program.
                func.jsonb_array_length(table.c.instructions) > 0,
            )
        ).all()
    listed = {row.signature for row in window.rows}
    for row in rows:
        if row.signature not in listed:
            raise ContradictoryListing(
                f"getSignaturesForAddress: {base58.encode(row.signature)} of slot {row.slot} is "
                f"missing from the listing of slots {window.first_slot} to {window.last_slot}"
            )


class ChunkedIngest(msgspec.Struct):
    """What became of requested transactions.

    Attributes:
        read: how many were read and ingested.
        postponed: how many were not reached in time.
        unread: those that could not be read.
    """

    read: int = 0
    postponed: int = 0
    unread: list[UnreadTransaction] = []
    result: IngestResult = IngestResult()

    @property
    def gaps(self) -> list[event_rows.Gap]:
        """A gap for each transaction that could not be read."""
        return gaps_of_unread(self.unread)


def gaps_of_unread(unread: Iterable[UnreadTransaction]) -> list[event_rows.Gap]:
    """Return a gap for each listed transaction that could not be read."""
    return [
        event_rows.Gap(
            transaction.signature, transaction.kind, transaction.slot, transaction.reason
        )
        for transaction in unread
    ]


def ingest_in_chunks(
    engine: Engine,
    answers: Iterable[RawTransaction | UnreadTransaction | None],
    source: Source,
    commitment: Commitment,
    program: Pubkey,
) -> ChunkedIngest:
    """Ingest transactions as they are read, and commit every ``CHUNK_SIZE`` of them."""
    done = ChunkedIngest()
    chunk: list[RawTransaction] = []

    def store_chunk() -> None:
        def store(conn: Connection) -> IngestResult:
            return ingest(conn, chunk, source=source, commitment=commitment, program=program)

        result = run_in_transaction(engine, store)
        done.result = done.result.merge(result)
        done.read += len(chunk)
        chunk.clear()

    for answer in answers:
        if answer is None:
            done.postponed += 1
        elif isinstance(answer, UnreadTransaction):
            done.unread.append(answer)
        else:
            chunk.append(answer)
            if len(chunk) == CHUNK_SIZE:
                store_chunk()
    if chunk:
        store_chunk()
    return done
