"""What the chain leaves out does not count; what only a webhook said is looked up."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.writer import ingest, orphan_readings, run_in_transaction
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.ledger.readers.rpc_reader import (
    NOT_FOUND,
    UnreadTransaction,
    fetch_transactions,
)
from zmart_pipelines.ledger.rows.event_rows import ReadingKey
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain

# How long a webhook's word may stand alone.
REPORTED_TIMEOUT: Final = timedelta(seconds=30)
MAX_REPORTED: Final = 200
# Slots that are looked at for skipped ones; forks are shorter by far.
MAX_BLOCK_RANGE: Final = 4096

_log = logging.getLogger(__name__)
_transactions = chain.transactions
_NOT_FINALIZED: Final = (Commitment.REPORTED.value, Commitment.CONFIRMED.value)


def orphan_unlisted(
    conn: Connection,
    first_slot: int,
    last_slot: int,
    listed: Collection[bytes],
    program: Pubkey,
) -> IngestResult:
    """Orphan what lies in a closed finalized window without being listed there.

    In the caller's transaction, as its last part.

    :param listed: every signature of the window, from first to last slot inclusive.
    """
    rows = conn.execute(
        select(_transactions.c.signature, _transactions.c.digest).where(
            _transactions.c.slot.between(first_slot, last_slot),
            _transactions.c.commitment.in_(_NOT_FINALIZED),
        )
    )
    absent = [(row.signature, row.digest) for row in rows if row.signature not in listed]
    return orphan_readings(conn, absent, program)


def orphan_skipped_slots(
    engine: Engine,
    rpc: RpcClient,
    settings: Settings,
    first_slot: int,
    last_slot: int,
    listed: Collection[SignatureInfo],
) -> IngestResult:
    """Orphan what lies in a slot that the confirmed chain turned out to have skipped.

    Before it is finalized, but no guess: a chain that goes on behind a slot without a block
    there does not hold the slot's transactions. What a listing leaves out of a slot that is
    there waits for the finalized window, since nodes list late.

    :param listed: the closed window of signatures from first to last slot at confirmed.
    """
    there = {(row.signature, row.slot) for row in listed}
    with engine.connect() as conn:
        rows = conn.execute(
            select(_transactions.c.signature, _transactions.c.digest, _transactions.c.slot).where(
                _transactions.c.slot.between(first_slot, last_slot),
                _transactions.c.commitment.in_(_NOT_FINALIZED),
            )
        ).all()
    absent = [row for row in rows if (row.signature, row.slot) not in there]
    if not absent:
        return IngestResult()
    lowest = min(row.slot for row in absent)
    try:
        blocks = set(rpc.blocks(lowest, min(last_slot, lowest + MAX_BLOCK_RANGE), "confirmed"))
    except RpcError as error:
        if error.transient:
            raise
        # Not every provider answers this; finality decides all the same, only later.
        _log.warning("what a fork skipped waits for finality: %s", error)
        return IngestResult()
    newest = max(blocks, default=-1)
    keys: list[ReadingKey] = [
        (row.signature, row.digest)
        for row in absent
        if row.slot < newest and row.slot not in blocks
    ]
    if not keys:
        return IngestResult()
    return run_in_transaction(engine, lambda conn: orphan_readings(conn, keys, settings.program))


def verify_reported(
    engine: Engine, rpc: RpcClient, settings: Settings, *, patience: timedelta = REPORTED_TIMEOUT
) -> tuple[IngestResult, int]:
    """Look up readings that only a webhook has told of, once they are ``patience`` old.

    What the node has at confirmed climbs. What it does not have is orphaned where the slot
    it claims was read completely at finalized, or has not come yet; otherwise it waits.

    :returns: what changed, and how many were looked up.
    """
    with engine.connect() as conn:
        rows = conn.execute(
            select(_transactions.c.signature, _transactions.c.digest, _transactions.c.slot)
            .where(
                _transactions.c.commitment == Commitment.REPORTED.value,
                _transactions.c.first_seen_at < func.now() - patience,
            )
            .order_by(_transactions.c.first_seen_at)
            .limit(MAX_REPORTED)
        ).all()
    if not rows:
        return IngestResult(), 0
    tip = rpc.slot("confirmed")
    found: list[RawTransaction] = []
    unknown: set[bytes] = set()
    wanted = [(row.signature, row.slot, None) for row in rows]
    for answer in fetch_transactions(rpc, settings.program, wanted, "confirmed"):
        if isinstance(answer, RawTransaction):
            found.append(answer)
        elif isinstance(answer, UnreadTransaction) and answer.reason == NOT_FOUND:
            unknown.add(answer.signature)
    result = IngestResult()
    if found:
        result = ingest(
            engine,
            found,
            source=Source.CONFIRMED_POLL,
            commitment=Commitment.CONFIRMED,
            program=settings.program,
        )

    def void(conn: Connection) -> IngestResult:
        keys: list[ReadingKey] = [
            (row.signature, row.digest)
            for row in rows
            if row.signature in unknown and (row.slot > tip or coverage.is_covered(conn, row.slot))
        ]
        return orphan_readings(conn, keys, settings.program)

    if unknown:
        result = result.merge(run_in_transaction(engine, void))
    return result, len(rows)
