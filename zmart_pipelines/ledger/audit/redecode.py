"""Decoding quarantined events again after a fix of the decoder. Needs no RPC."""

from __future__ import annotations

from typing import Any

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, select, update

from zmart_pipelines.ledger.ingest import projector
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.model.decode import (
    LedgerEvent,
    Reading,
    decode,
    event_json,
    market_address_bytes,
)
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.ledger.rows import event_rows, market_rows
from zmart_pipelines.ledger.rows.stored_readings import raw_transaction_from_row
from zmart_pipelines.program.events import Event, event_name
from zmart_pipelines.store.locks import CONFIGURATION, lock, lock_markets
from zmart_pipelines.store.tables import chain

_transactions = chain.transactions
_events = chain.events


class RedecodeReport(msgspec.Struct, frozen=True):
    """How many quarantined events there were, how many could be decoded, and their markets."""

    quarantined: int
    decoded: int
    markets: frozenset[bytes]


def redecode_quarantined(engine: Engine, program: Pubkey) -> RedecodeReport:
    """Decode every quarantined event again and fold those that can be decoded now."""

    def work(conn: Connection) -> RedecodeReport:
        # The fixed decoder may find events of the configuration, so no other writer may fold.
        lock(conn, CONFIGURATION)
        quarantined = _load_quarantined(conn)
        decoded: list[bytes | None] = []
        for row in quarantined:
            reading = decode(raw_transaction_from_row(row), program)
            event = _event_at(reading, row.log_index)
            if event is not None and event.event is not None:
                decoded.append(_store_decoded_event(conn, reading, event, event.event))
            if reading.gap is None:
                event_rows.close_gaps(conn, [reading.signature], ["incomplete"])
        markets = {market_id for market_id in decoded if market_id is not None}
        lock_markets(conn, [market_address_bytes(program, market_id) for market_id in markets])
        markets |= projector.refold_configuration(conn)
        projector.update_projections(conn, program, {}, markets, Commitment.ORPHANED)
        return RedecodeReport(len(quarantined), len(decoded), frozenset(markets))

    return run_in_transaction(engine, work)


def _load_quarantined(conn: Connection) -> list[Any]:
    return list(
        conn.execute(
            select(_transactions, _events.c.log_index)
            .join(
                _events,
                (_events.c.signature == _transactions.c.signature)
                & (_events.c.digest == _transactions.c.digest),
            )
            .where(
                _events.c.quarantine_reason.isnot(None),
                _events.c.commitment != Commitment.ORPHANED.value,
            )
        )
    )


def _event_at(reading: Reading, log_index: int) -> LedgerEvent | None:
    return next((event for event in reading.events if event.log_index == log_index), None)


def _store_decoded_event(
    conn: Connection, reading: Reading, event: LedgerEvent, decoded: Event
) -> bytes | None:
    """Store what a quarantined event was decoded to; return the id of its market if known."""
    market_id = event.market_id
    if market_id is None and event.market is not None:
        market_id = market_rows.load_market_ids(conn, [event.market]).get(event.market)
    conn.execute(
        update(_events)
        .where(
            _events.c.signature == reading.signature,
            _events.c.digest == reading.digest,
            _events.c.log_index == event.log_index,
        )
        .values(
            name=event_name(decoded),
            market_id=market_id,
            data=msgspec.json.decode(event_json(decoded)),
            instruction=event.instruction,
            quarantine_reason=None,
        )
    )
    return market_id
