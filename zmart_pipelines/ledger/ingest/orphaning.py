"""Orphaning readings that the chain turned out not to hold."""

from __future__ import annotations

from collections.abc import Collection

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from zmart_pipelines.ledger.ingest import change_frames, projector
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.ledger.rows import commitment_updates, event_rows
from zmart_pipelines.store import stream
from zmart_pipelines.store.locks import CONFIGURATION, lock, lock_markets, lock_shared


def orphan_readings(
    conn: Connection, keys: Collection[event_rows.ReadingKey], program: Pubkey
) -> IngestResult:
    """Orphan readings that the chain turned out not to hold; finalized ones stay.

    Refolds their markets and appends the frames that correct what clients know. Must be the
    last part of the caller's transaction.
    """
    if not keys:
        return IngestResult()
    lock_shared(conn, CONFIGURATION)
    lock_affected(conn, [key[0] for key in keys], program)
    orphaned, change = commitment_updates.orphan_transactions(conn, keys)
    # What was missing of a transaction that the chain does not hold is not missing.
    event_rows.close_gaps(conn, orphaned, ["contradictory", "incomplete"])
    refold = set(change.reordered)
    if change.configuration:
        refold |= projector.refold_configuration(conn)
    changes = projector.update_projections(conn, program, {}, refold, Commitment.ORPHANED)
    frames = change_frames.load_counts_and_build_frames(
        conn, changes, orphaned, change.market_ids, Commitment.ORPHANED
    )
    stream.append(conn, frames)
    return IngestResult(
        orphaned=len(orphaned),
        markets=frozenset(market.market_id for market in changes),
    )


def lock_affected(conn: Connection, signatures: Collection[bytes], program: Pubkey) -> None:
    """Lock what the stored events of these transactions concern.

    Taken after other locks this breaks the usual order: two such writers may deadlock, and
    one of them retries.
    """
    affected = commitment_updates.load_affected_state(conn, signatures)
    if affected.configuration:
        lock(conn, CONFIGURATION)
    addresses = {market_address_bytes(program, market_id) for market_id in affected.market_ids}
    lock_markets(conn, addresses | affected.addresses)
