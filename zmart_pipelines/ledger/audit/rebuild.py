"""Folding the projection anew from the ledger, while reads go on.

Everything is folded from its beginning; only what differs from that is written, so a
rebuild of a sound projection changes nothing and one of an empty projection makes it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, select

from zmart_pipelines.ledger.ingest import projector
from zmart_pipelines.ledger.ingest.writer import run_in_transaction
from zmart_pipelines.ledger.model import config_timeline, fold
from zmart_pipelines.ledger.model.config_timeline import Timeline, history_hash
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.model.projection import state_hash
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.store.locks import CONFIGURATION, lock, lock_markets, lock_shared
from zmart_pipelines.store.tables import chain, market

# Markets folded in one transaction: their ingest waits for it, others go on.
CHUNK: Final = 200


class RebuildReport(msgspec.Struct, frozen=True):
    """What a rebuild did.

    :ivar changed: markets whose stored state was not the fold of the ledger before.
    :ivar hashes: state hash by market id, after.
    """

    markets: int
    events: int
    changed: tuple[bytes, ...]
    hashes: dict[bytes, str]


class HashMismatch(msgspec.Struct, frozen=True):
    """A market whose stored state is not the fold of its events (None: not there).

    ``market_id`` is None for the configuration's history.
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

    Each chunk of markets is mended in one transaction, so readers see it before or after.

    :param progress: called with the markets done and their total.
    """
    if market_ids is None:
        run_in_transaction(engine, _rebuild_configuration)
        with engine.connect() as conn:
            wanted = all_market_ids(conn)
    else:
        wanted = sorted(market_ids)
    changed: list[bytes] = []
    hashes: dict[bytes, str] = {}
    events = 0

    def work(chunk: Sequence[bytes]) -> _RebuiltChunk:
        return run_in_transaction(engine, lambda conn: _rebuild_chunk(conn, program, chunk))

    for number, done in enumerate(map(work, _chunks(wanted)), 1):
        changed += done.changed
        hashes |= done.hashes
        events += done.events
        if progress is not None:
            progress(min(number * CHUNK, len(wanted)), len(wanted))
    return RebuildReport(len(wanted), events, tuple(changed), hashes)


class _RebuiltChunk(NamedTuple):
    changed: list[bytes]
    hashes: dict[bytes, str]
    events: int


def _rebuild_chunk(conn: Connection, program: Pubkey, market_ids: Sequence[bytes]) -> _RebuiltChunk:
    lock_shared(conn, CONFIGURATION)
    lock_markets(conn, [market_address_bytes(program, one) for one in market_ids])
    history = Timeline(market_rows.load_configuration_changes(conn))
    anew = projector.refold_markets(conn, program, market_ids, history)
    stored = market_rows.load_projections(conn, market_ids)
    hashes = {
        one: state_hash(folded) for one, folded in anew.folded.items() if folded.market is not None
    }
    changed = [
        one
        for one in market_ids
        if hashes.get(one) != (state_hash(stored[one]) if one in stored else None)
    ]
    projector.replace_projections(conn, anew, changed)
    market_rows.update_market_commitments(conn, market_ids)
    return _RebuiltChunk(changed, hashes, anew.events)


def verify_projection(
    conn: Connection, program: Pubkey, market_ids: Collection[bytes] | None = None
) -> list[HashMismatch]:
    """Where the stored projection is not the fold of the ledger; good: nowhere.

    Run it in a REPEATABLE READ transaction, so that both are of the same moment.
    """
    wanted = all_market_ids(conn) if market_ids is None else sorted(market_ids)
    changes = config_timeline.fold(market_rows.load_configuration_events(conn))
    history = Timeline(changes)
    found: list[HashMismatch] = []
    expected, actual = (
        history_hash(one) for one in (changes, market_rows.load_configuration_changes(conn))
    )
    if expected != actual:
        found.append(HashMismatch(None, expected, actual))
    for chunk in _chunks(wanted):
        stored = market_rows.load_projections(conn, chunk)
        for market_id, events in market_rows.load_market_events(conn, chunk, program).items():
            folded = fold.fold((one.placed for one in events), history)
            right = None if folded.market is None else state_hash(folded)
            there = state_hash(stored[market_id]) if market_id in stored else None
            if right != there:
                found.append(HashMismatch(market_id, right, there))
    return found


def all_market_ids(conn: Connection) -> list[bytes]:
    """Ids of all markets that the ledger or the projection knows."""
    events = chain.events
    named = select(events.c.market_id).where(events.c.market_id.isnot(None))
    return sorted(conn.execute(named.union(select(market.markets.c.market_id))).scalars())


def _rebuild_configuration(conn: Connection) -> None:
    lock(conn, CONFIGURATION)
    projector.refold_configuration(conn)


def _chunks(market_ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(market_ids), CHUNK):
        yield market_ids[start : start + CHUNK]
