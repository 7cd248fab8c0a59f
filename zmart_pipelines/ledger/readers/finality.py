"""Orphaning what the chain does not hold, and verifying what only a webhook reported."""

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
from zmart_pipelines.ledger.ingest.orphaning import orphan_readings
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.ledger.readers.rpc_reader import (
    NOT_FOUND,
    TransactionRef,
    UnreadTransaction,
    fetch_transactions,
)
from zmart_pipelines.ledger.rows.event_rows import ReadingKey
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain

# How long a row may rest on a webhook's report alone.
REPORTED_TIMEOUT: Final = timedelta(seconds=30)
MAX_REPORTED: Final = 200
# Slots that one poll checks for skipped ones; forks are far shorter.
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
    """Orphan readings in a closed finalized window that are not listed there.

    Must be the last part of the caller's transaction.

    Args:
        listed: every signature of the window, from first to last slot inclusive.
    """
    rows = conn.execute(
        select(_transactions.c.signature, _transactions.c.digest).where(
            _transactions.c.slot.between(first_slot, last_slot),
            _transactions.c.commitment.in_(_NOT_FINALIZED),
        )
    )
    unlisted = [(row.signature, row.digest) for row in rows if row.signature not in listed]
    return orphan_readings(conn, unlisted, program)


def orphan_skipped_slots(
    engine: Engine,
    rpc: RpcClient,
    settings: Settings,
    first_slot: int,
    last_slot: int,
    listed: Collection[SignatureInfo],
) -> IngestResult:
    """Orphan readings in slots that the confirmed chain turned out to have skipped.

    This happens before finality, but is not a guess: a chain that continues past a slot
    without a block there does not hold the slot's transactions. A transaction that is not
    listed although its slot has a block waits for the finalized window, since nodes list late.

    Args:
        listed: the closed window of signatures from first to last slot at confirmed.
    """
    listed_places = {(row.signature, row.slot) for row in listed}
    with engine.connect() as conn:
        rows = conn.execute(
            select(_transactions.c.signature, _transactions.c.digest, _transactions.c.slot).where(
                _transactions.c.slot.between(first_slot, last_slot),
                _transactions.c.commitment.in_(_NOT_FINALIZED),
            )
        ).all()
    unlisted = [row for row in rows if (row.signature, row.slot) not in listed_places]
    if not unlisted:
        return IngestResult()
    lowest = min(row.slot for row in unlisted)
    try:
        blocks = set(rpc.blocks(lowest, min(last_slot, lowest + MAX_BLOCK_RANGE), "confirmed"))
    except RpcError as error:
        if error.transient:
            raise
        # Not every provider supports getBlocks; the finalized window decides later.
        _log.warning("cannot check for skipped slots before finality: %s", error)
        return IngestResult()
    newest = max(blocks, default=-1)
    keys: list[ReadingKey] = [
        (row.signature, row.digest)
        for row in unlisted
        if row.slot < newest and row.slot not in blocks
    ]
    if not keys:
        return IngestResult()
    return run_in_transaction(engine, lambda conn: orphan_readings(conn, keys, settings.program))


def verify_reported(
    engine: Engine, rpc: RpcClient, settings: Settings, *, min_age: timedelta = REPORTED_TIMEOUT
) -> tuple[IngestResult, int]:
    """Look up readings that only a webhook has reported, once they are ``min_age`` old.

    Those that the node has at confirmed are promoted. The others are orphaned if the slot they
    claim was read completely at finalized, or lies in the future; otherwise they wait.

    Returns:
        What changed, and how many were looked up.
    """
    gaps = chain.gaps
    # What could not be read completely is retried with its gap.
    waiting = select(gaps.c.id).where(
        gaps.c.signature == _transactions.c.signature,
        gaps.c.closed_at.is_(None),
        gaps.c.retry_at > func.now(),
    )
    with engine.connect() as conn:
        rows = conn.execute(
            select(_transactions.c.signature, _transactions.c.digest, _transactions.c.slot)
            .where(
                _transactions.c.commitment == Commitment.REPORTED.value,
                _transactions.c.first_seen_at < func.now() - min_age,
                ~waiting.exists(),
            )
            .order_by(_transactions.c.first_seen_at)
            .limit(MAX_REPORTED)
        ).all()
    if not rows:
        return IngestResult(), 0
    tip = rpc.slot("confirmed")
    found: list[RawTransaction] = []
    unknown: set[bytes] = set()
    refs = [TransactionRef(row.signature, row.slot) for row in rows]
    for answer in fetch_transactions(rpc, settings.program, refs, "confirmed"):
        if isinstance(answer, RawTransaction):
            found.append(answer)
        elif isinstance(answer, UnreadTransaction) and answer.reason == NOT_FOUND:
            unknown.add(answer.signature)

    def promote_found(conn: Connection) -> IngestResult:
        return ingest(
            conn,
            found,
            source=Source.CONFIRMED_POLL,
            commitment=Commitment.CONFIRMED,
            program=settings.program,
        )

    def orphan_unknown(conn: Connection) -> IngestResult:
        keys: list[ReadingKey] = [
            (row.signature, row.digest)
            for row in rows
            if row.signature in unknown and (row.slot > tip or coverage.is_covered(conn, row.slot))
        ]
        return orphan_readings(conn, keys, settings.program)

    result = IngestResult()
    if found:
        result = run_in_transaction(engine, promote_found)
    if unknown:
        result = result.merge(run_in_transaction(engine, orphan_unknown))
    return result, len(rows)
