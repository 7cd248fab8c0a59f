"""The common case of ingest: nothing of it is stored yet, and all of it follows in order.

Then nothing has to be read from the ledger and nothing replaced, and all statements are sent
without waiting for each. The client waits for two answers only: what is stored of the
markets, and which transactions were new. While Postgres stores
the transactions, their events are folded here. Everything else is ``general_path``, which
stores the same rows. What this saves: docs/ledger.md, "Two paths of ingest".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from zmart_pipelines import tracing
from zmart_pipelines.ledger.ingest import change_frames, projector, wallet_frames
from zmart_pipelines.ledger.ingest.context import IngestContext
from zmart_pipelines.ledger.ingest.event_grouping import group_by_market, placed_events
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.projector import MarketChange
from zmart_pipelines.ledger.ingest.transaction import ConcurrentWriteError
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.decode import Reading
from zmart_pipelines.ledger.model.projection import MarketRow, PlacedEvent, PositionRow
from zmart_pipelines.ledger.model.provenance import Commitment, lower_of
from zmart_pipelines.ledger.rows import draft_matching, event_rows, market_rows
from zmart_pipelines.program.events import MarketCreated
from zmart_pipelines.store import stream
from zmart_pipelines.store.binary_arrays import keys, texts
from zmart_pipelines.store.locks import (
    CONFIGURATION,
    locking_markets,
    locking_shared,
)
from zmart_pipelines.store.queries import positions, votes, wallet_entries
from zmart_pipelines.store.statement_pipeline import Send, Statement, pipelined

# Whether any of these transactions is known, orphans and gaps included. One index lookup for
# each: for EXISTS (… = ANY) Postgres expects an early hit, and scans the whole table when
# there is none.
_ANY_KNOWN = """
SELECT coalesce(bool_or(
    EXISTS (SELECT FROM chain.transactions AS t WHERE t.signature = s.signature)
    OR EXISTS (SELECT FROM chain.gaps AS g WHERE g.signature = s.signature AND g.closed_at IS NULL)
), false)
FROM unnest(%b::bytea[]) AS s (signature)
"""

# Whether events of these markets were stored before the markets' creation.
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


class _StoredState(NamedTuple):
    """What is stored of the markets, by market id, and of the configuration."""

    markets: dict[bytes, MarketRow]
    commitments: dict[bytes, Commitment]
    positions: dict[bytes, dict[bytes, PositionRow]]
    timeline: Timeline


def ingest_in_order(
    conn: Connection, readings: Sequence[Reading], context: IngestContext
) -> IngestResult | None:
    """Ingest readings; return None, with nothing written, if this is not the common case.

    Raises:
        ConcurrentWriteError: the caller must roll its transaction back and retry.
    """
    if not all(_has_market_events_only(reading) for reading in readings):
        return None
    folded = _fold_in_order(conn, readings, context)
    if folded is None:
        return None
    changes, has_frames = folded
    if not has_frames:
        commitment = context.commitment
        frames = change_frames.load_counts_and_build_frames(conn, changes, (), (), commitment)
        stream.append(conn, frames)
    return IngestResult(
        new_transactions=len(readings),
        new_events=sum(len(reading.events) for reading in readings),
        markets=projector.changed_market_ids(changes),
    )


def _fold_in_order(
    conn: Connection, readings: Sequence[Reading], context: IngestContext
) -> tuple[list[MarketChange], bool] | None:
    """Return what changed and whether its frames are appended; None if this is another case."""
    events = list(placed_events(readings))
    with pipelined(conn) as send:
        stored = _lock_and_load(send, readings, events)
        if stored is None:
            return None
        market_ids = {market.address: market_id for market_id, market in stored.markets.items()}
        market_ids |= _created_market_ids(events)
        if any(event.address not in market_ids for event in events):
            return None
        new = group_by_market(events, market_ids)
        if not all(
            projector.is_in_order(stored.markets[market_id], placed)
            for market_id, placed in new.items()
            if market_id in stored.markets
        ):
            return None
        return _store_and_fold(conn, send, readings, new, stored, market_ids, context)


def _has_market_events_only(reading: Reading) -> bool:
    """Whether the reading is complete and each of its events is a decoded one of a market."""
    return reading.gap is None and all(
        event.event is not None and event.market is not None for event in reading.events
    )


def _created_market_ids(events: Iterable[PlacedEvent]) -> dict[bytes, bytes]:
    """Return the ids of the markets that these events create, by address."""
    return {
        event.address: event.event.market_id
        for event in events
        if isinstance(event.event, MarketCreated)
    }


def _lock_and_load(
    send: Send, readings: Sequence[Reading], events: Sequence[PlacedEvent]
) -> _StoredState | None:
    """Lock the markets and load their stored state; None if this is not the common case."""
    addresses = {event.address for event in events}
    signatures = keys([reading.signature for reading in readings])
    holders = projector.positions_needed((event.address, event) for event in events)
    send(locking_shared(CONFIGURATION))
    send(locking_markets(addresses))
    any_known = send(Statement(_ANY_KNOWN, (signatures,)))
    changes = send(market_rows.configuration_changes_statement())
    markets = send(market_rows.markets_by_address_statement(addresses))
    positions = send(market_rows.positions_by_address_statement(holders))
    created = _created_market_ids(events)
    if created:
        parameters = (
            keys(list(created.values())),
            texts([Pubkey(address) for address in created]),
        )
        any_early = send(Statement(_ANY_EARLY_EVENTS, parameters))
    if any_known.fetchall()[0][0]:
        return None
    timeline = Timeline(map(market_rows.change_from_row, changes.fetchall()))
    stored = _StoredState({}, {}, defaultdict(dict), timeline)
    for row in markets.fetchall():
        market, commitment = market_rows.market_from_row(row)
        stored.markets[market.market_id] = market
        stored.commitments[market.market_id] = commitment
    for row in positions.fetchall():
        position = market_rows.position_from_row(row)
        stored.positions[position.market_id][position.user] = position
    if created and any_early.fetchall()[0][0]:
        return None
    return stored


def _store_and_fold(
    conn: Connection,
    send: Send,
    readings: Sequence[Reading],
    new: dict[bytes, list[PlacedEvent]],
    stored: _StoredState,
    market_ids: dict[bytes, bytes],
    context: IngestContext,
) -> tuple[list[MarketChange], bool]:
    """Store readings, events and projection, and frames if nothing else has to be read for them.

    Args:
        new: events by market id.
        market_ids: market ids by address.

    Returns:
        What changed, and whether its frames are appended.
    """
    inserted = send(
        event_rows.insert_transactions_statement(
            readings,
            source=context.source,
            commitment=context.commitment,
            delivery_ids=context.delivery_ids,
        )
    )
    insert_events = event_rows.insert_events_statement(
        readings, commitment=context.commitment, market_ids=market_ids
    )
    with tracing.span("market materialization", markets=len(new)):
        folded = projector.fold_forward(new, stored.markets, stored.positions, stored.timeline)
        commitments = {
            market_id: lower_of(
                context.commitment, stored.commitments.get(market_id, context.commitment)
            )
            for market_id in new
        }
        # Of the rows only that are new; an orphan that came back is the general path's.
        new_signatures = {row[0] for row in inserted.fetchall() if row[1]}
        if len(new_signatures) != len(readings):
            raise ConcurrentWriteError
        if insert_events is not None:
            send(insert_events)
        for statement in market_rows.write_statements(
            folded,
            commitments=commitments,
            transaction_commitments=dict.fromkeys(new_signatures, context.commitment),
        ):
            send(statement)
        created = [
            market_id
            for market_id, projection in folded.items()
            if projection.market and market_id not in stored.markets
        ]
        if created:
            send(draft_matching.match_drafts_statement(created))
        open_gaps = event_rows.open_gaps_statement(projector.inapplicable_event_gaps(folded))
        if open_gaps is not None:
            send(open_gaps)
        changes = [
            MarketChange(
                market_id,
                stored.markets.get(market_id),
                projection.market,
                commitments[market_id],
                projection,
                projector.holders_of_new_rows(projection),
            )
            for market_id, projection in sorted(folded.items())
        ]
        return changes, _append_frames(conn, send, changes, context.commitment)


def _append_frames(
    conn: Connection, send: Send, changes: Sequence[MarketChange], commitment: Commitment
) -> bool:
    """Append the frames as the last statements; return False where more has to be read first."""
    if wallet_frames.concern_all_holders(changes):
        return False
    counting = [
        (key, send(votes.count_statement(*key))) for key in change_frames.changed_votes(changes)
    ]
    holders = wallet_frames.changed_holders(changes)
    holdings = wallet_frames.NO_HOLDINGS
    if holders:
        held = send(positions.holders_statement(holders))
        entries = send(wallet_entries.holders_statement(holders))
        found = wallet_frames.of_changed(
            map(positions.from_row, held.fetchall()),
            wallet_entries.entries_from_rows(entries.fetchall()),
        )
        if found is None:
            return False
        holdings = found
    counts = {key: votes.counts_of_row(key[1], cursor.fetchall()[0]) for key, cursor in counting}
    frames = change_frames.build_frames(changes, counts, holdings, commitment)
    stream.append_pipelined(conn, send, frames)
    return True
