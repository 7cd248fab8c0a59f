"""The common case of ingest: nothing of it is stored yet, and all of it follows in order.

Then nothing needs to be read from the ledger and nothing replaced, and all statements are
sent without waiting for each: one answer is awaited for what is known of the markets, one
for which transactions were new, one for the frames' positions. While Postgres stores the
transactions, their events are folded here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from zmart_pipelines.ledger.ingest import change_frames, projector
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.projector import MarketChange
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.decode import Reading
from zmart_pipelines.ledger.model.projection import MarketRow, PlacedEvent, PositionRow
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows import draft_matching, event_rows, market_rows
from zmart_pipelines.program.events import MarketCreated
from zmart_pipelines.store import stream
from zmart_pipelines.store.binary_arrays import keys, texts
from zmart_pipelines.store.locks import (
    CONFIGURATION,
    STREAM,
    locking,
    locking_markets,
    locking_shared,
)
from zmart_pipelines.store.queries import votes
from zmart_pipelines.store.statement_pipeline import Send, Statement, pipelined

# Whether anything is known of these transactions, orphans and gaps included. One look into
# the index for each: of EXISTS (… = ANY) Postgres expects to find one soon, and reads the
# whole table where there is none.
_ANY_KNOWN = """
SELECT coalesce(bool_or(
    EXISTS (SELECT FROM chain.transactions AS t WHERE t.signature = s.signature)
    OR EXISTS (SELECT FROM chain.gaps AS g WHERE g.signature = s.signature AND g.closed_at IS NULL)
), false)
FROM unnest(%b::bytea[]) AS s (signature)
"""

# Whether events of these markets came before their creation.
_ANY_EARLY_EVENTS = """
SELECT coalesce(bool_or(
    EXISTS (SELECT FROM chain.events AS e WHERE e.market_id = m.market_id)
    OR EXISTS (
        SELECT FROM chain.events AS c
        WHERE c.market_id IS NULL AND c.name = 'WinningsClaimed'
            AND c.data ->> 'market' = m.address
    )
), false)
FROM unnest(%b::bytea[], %b::text[]) AS m (market_id, address)
"""


class ConcurrentWriteError(Exception):
    """Another writer stored the same at the same time; begin anew and find it there."""


class IngestContext(NamedTuple):
    """Where readings come from."""

    program: Pubkey
    source: Source
    commitment: Commitment
    delivery_id: event_rows.DeliveryIds


class _StoredState(NamedTuple):
    """What is stored of the markets, by id, and of the configuration."""

    markets: dict[bytes, MarketRow]
    commitments: dict[bytes, Commitment]
    positions: dict[bytes, dict[bytes, PositionRow]]
    history: Timeline


def ingest_in_order(
    conn: Connection, readings: Sequence[Reading], door: IngestContext
) -> IngestResult | None:
    """Ingest readings; None, with nothing written, where this is not the common case.

    :raises Overtaken: the caller's transaction must be rolled back and tried again.
    """
    events = _events(readings)
    if events is None:
        return None
    with pipelined(conn) as send:
        known = _lock_and_load(send, readings, events)
        if known is None:
            return None
        ids = {market.address: market_id for market_id, market in known.markets.items()}
        ids |= _created_market_ids(events)
        if any(event.address not in ids for event in events):
            return None
        new: dict[bytes, list[PlacedEvent]] = defaultdict(list)
        for event in events:
            new[ids[event.address]].append(event)
        if not all(
            market_id not in known.markets
            or projector.is_in_order(known.markets[market_id], placed)
            for market_id, placed in new.items()
        ):
            return None
        return _store_and_fold(send, readings, new, known, ids, door)


def _events(readings: Iterable[Reading]) -> list[PlacedEvent] | None:
    """The readings' events, or None where one is not a decoded event of a market."""
    found = []
    for reading in readings:
        if reading.gap is not None:
            return None
        for event in reading.events:
            if event.event is None or event.market is None:
                return None
            place = market_rows.event_place(
                reading.signature, event.log_index, reading.slot, reading.index_in_block
            )
            found.append(PlacedEvent(place, event.event, event.market, event.instruction))
    return found


def _created_market_ids(events: Iterable[PlacedEvent]) -> dict[bytes, bytes]:
    """Ids of the markets that begin with these events, by address."""
    return {
        event.address: event.event.market_id
        for event in events
        if isinstance(event.event, MarketCreated)
    }


def _lock_and_load(
    send: Send, readings: Sequence[Reading], events: Sequence[PlacedEvent]
) -> _StoredState | None:
    """Lock the markets and read what is known of them; None where it is not the common case."""
    addresses = {event.address for event in events}
    signatures = keys([reading.signature for reading in readings])
    send(locking_shared(CONFIGURATION))
    send(locking_markets(addresses))
    heard = send(Statement(_ANY_KNOWN, (signatures,)))
    changes = send(market_rows.configuration_changes_statement())
    markets = send(market_rows.markets_by_address_statement(addresses))
    positions = send(
        market_rows.positions_by_address_statement(
            projector.positions_needed((e.address, e) for e in events)
        )
    )
    created = _created_market_ids(events)
    if created:
        asked = (keys(list(created.values())), texts([Pubkey(one) for one in created]))
        early = send(Statement(_ANY_EARLY_EVENTS, asked))
    if heard.fetchall()[0][0]:
        return None
    known = _StoredState(
        {}, {}, defaultdict(dict), Timeline(map(market_rows.change_from_row, changes.fetchall()))
    )
    for row in markets.fetchall():
        market, commitment = market_rows.market_from_row(row)
        known.markets[market.market_id] = market
        known.commitments[market.market_id] = commitment
    for row in positions.fetchall():
        position = market_rows.position_from_row(row)
        known.positions[position.market_id][position.user] = position
    if created and early.fetchall()[0][0]:
        return None
    return known


def _store_and_fold(
    send: Send,
    readings: Sequence[Reading],
    new: dict[bytes, list[PlacedEvent]],
    known: _StoredState,
    ids: dict[bytes, bytes],
    door: IngestContext,
) -> IngestResult:
    inserted = send(
        event_rows.insert_transactions_statement(
            readings,
            source=door.source,
            commitment=door.commitment,
            delivery_id=door.delivery_id,
        )
    )
    event_insertion = event_rows.insert_events_statement(
        readings, commitment=door.commitment, market_ids=ids
    )
    folded = projector.fold_forward(new, known.markets, known.positions, known.history)
    commitments = {
        market_id: min(
            known.commitments.get(market_id, door.commitment), door.commitment, key=_rank
        )
        for market_id in new
    }
    stored = {row[0] for row in inserted.fetchall() if row[1]}
    if len(stored) != len(readings):
        raise ConcurrentWriteError
    of_signature = dict.fromkeys(stored, door.commitment)
    if event_insertion is not None:
        send(event_insertion)
    for statement in market_rows.write_statements(
        folded, commitments=commitments, of_signature=of_signature
    ):
        send(statement)
    appeared = [one for one in folded if folded[one].market and one not in known.markets]
    if appeared:
        send(draft_matching.match_drafts_statement(appeared))
    misfits = event_rows.open_gaps_statement(projector.inapplicable_event_gaps(folded))
    if misfits is not None:
        send(misfits)
    done = [
        MarketChange(one, known.markets.get(one), folded[one].market, commitments[one], folded[one])
        for one in sorted(folded)
    ]
    return IngestResult(
        new_transactions=len(readings),
        new_events=sum(len(reading.events) for reading in readings),
        markets=frozenset(one.market_id for one in done if one.before or one.after),
        positions=_append_frames(send, done, door.commitment),
    )


def _rank(commitment: Commitment) -> int:
    return commitment.rank


def _append_frames(
    send: Send, folded: Sequence[MarketChange], commitment: Commitment
) -> tuple[int, ...]:
    """Append the frames, as the last statements; their positions."""
    counting = [(key, send(votes.counting(*key))) for key in change_frames.changed_votes(folded)]
    counts = {key: votes.counted(key[1], cursor.fetchall()[0]) for key, cursor in counting}
    appending = stream.appending(change_frames.build_frames(folded, counts, commitment))
    if appending is None:
        return ()
    send(locking(STREAM))
    return tuple(sorted(row[0] for row in send(appending).fetchall()))
