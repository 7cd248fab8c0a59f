"""Rebuilding the projection from the ledger, while reads continue.

Every market is folded from its first event, and only what differs from the result is written:
a rebuild of a correct projection changes nothing, one of an empty projection restores it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, select

from zmart_pipelines.ledger.ingest import projector
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.model import config_timeline, fold
from zmart_pipelines.ledger.model.config_timeline import Timeline, history_hash
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.model.projection import state_hash
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.store.locks import CONFIGURATION, lock, lock_markets, lock_shared
from zmart_pipelines.store.queries import market_counts
from zmart_pipelines.store.tables import chain, market

# Markets folded in one transaction. Ingest into them waits for it; other markets continue.
CHUNK_SIZE: Final = 200


class RebuildReport(msgspec.Struct, frozen=True):
    """What a rebuild did.

    Attributes:
        markets: how many markets were folded.
        events: how many events were folded.
        changed: markets whose stored state was not the fold of the ledger before.
        hashes: state hash by market id, after the rebuild.
    """

    markets: int
    events: int
    changed: tuple[bytes, ...]
    hashes: dict[bytes, str]


class HashMismatch(msgspec.Struct, frozen=True):
    """A market whose stored state is not the fold of its events.

    Attributes:
        market_id: None for the configuration's history.
        folded: hash of the fold; None if the events create no market.
        stored: hash of the stored state; None if the market is not stored.
    """

    market_id: bytes | None
    folded: str | None
    stored: str | None


def rebuild_projection(
    engine: Engine,
    program: Pubkey,
    market_ids: Collection[bytes] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> RebuildReport:
    """Fold these markets (default: all, and the configuration) from the ledger.

    Each chunk of markets is replaced in one transaction, so readers see it before or after.

    Args:
        progress: called with the number of markets done and their total.
    """
    if market_ids is None:
        run_in_transaction(engine, _rebuild_configuration)
        with engine.connect() as conn:
            chosen = all_market_ids(conn)
    else:
        chosen = sorted(market_ids)
    changed: list[bytes] = []
    hashes: dict[bytes, str] = {}
    events = 0
    for number, chunk in enumerate(_chunks(chosen), 1):
        done = run_in_transaction(
            engine, partial(_rebuild_chunk, program=program, market_ids=chunk)
        )
        changed += done.changed
        hashes |= done.hashes
        events += done.events
        if progress is not None:
            progress(min(number * CHUNK_SIZE, len(chosen)), len(chosen))
    run_in_transaction(engine, _recount_if_wrong)
    return RebuildReport(len(chosen), events, tuple(changed), hashes)


class _RebuiltChunk(NamedTuple):
    changed: list[bytes]
    hashes: dict[bytes, str]
    events: int


def _rebuild_chunk(
    conn: Connection, *, program: Pubkey, market_ids: Sequence[bytes]
) -> _RebuiltChunk:
    lock_shared(conn, CONFIGURATION)
    lock_markets(conn, [market_address_bytes(program, market_id) for market_id in market_ids])
    timeline = Timeline(market_rows.load_configuration_changes(conn))
    refolded = projector.refold_markets(conn, program, market_ids, timeline)
    stored = market_rows.load_projections(conn, market_ids)
    hashes = {
        market_id: state_hash(projection)
        for market_id, projection in refolded.folded.items()
        if projection.market is not None
    }
    stored_hashes = {market_id: state_hash(projection) for market_id, projection in stored.items()}
    changed = [
        market_id
        for market_id in market_ids
        if hashes.get(market_id) != stored_hashes.get(market_id)
    ]
    projector.replace_projections(conn, refolded, changed)
    market_rows.update_market_commitments(conn, market_ids)
    return _RebuiltChunk(changed, hashes, refolded.events)


def verify_projection(
    conn: Connection, program: Pubkey, market_ids: Collection[bytes] | None = None
) -> list[HashMismatch]:
    """Return where the stored projection is not the fold of the ledger; empty if it is right.

    Run it in a REPEATABLE READ transaction, so that it compares one snapshot of both.
    """
    chosen = all_market_ids(conn) if market_ids is None else sorted(market_ids)
    changes = config_timeline.fold(market_rows.load_configuration_events(conn))
    timeline = Timeline(changes)
    found: list[HashMismatch] = []
    expected = history_hash(changes)
    actual = history_hash(market_rows.load_configuration_changes(conn))
    if expected != actual:
        found.append(HashMismatch(None, expected, actual))
    for chunk in _chunks(chosen):
        stored = market_rows.load_projections(conn, chunk)
        for market_id, events in market_rows.load_market_events(conn, chunk, program).items():
            projection = fold.fold((event.placed for event in events), timeline)
            folded_hash = None if projection.market is None else state_hash(projection)
            stored_hash = state_hash(stored[market_id]) if market_id in stored else None
            if folded_hash != stored_hash:
                found.append(HashMismatch(market_id, folded_hash, stored_hash))
    return found


def all_market_ids(conn: Connection) -> list[bytes]:
    """Return the ids of all markets that the ledger or the projection holds."""
    events = chain.events
    named = select(events.c.market_id).where(events.c.market_id.isnot(None))
    return sorted(conn.execute(named.union(select(market.markets.c.market_id))).scalars())


def _recount_if_wrong(conn: Connection) -> None:
    if market_counts.differences(conn):
        market_counts.recount(conn)


def _rebuild_configuration(conn: Connection) -> None:
    lock(conn, CONFIGURATION)
    projector.refold_configuration(conn)


def _chunks(market_ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(market_ids), CHUNK_SIZE):
        yield market_ids[start : start + CHUNK_SIZE]
