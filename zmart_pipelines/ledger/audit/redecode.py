"""Decoding quarantined events again after a fix of the decoder. Needs no RPC."""

from __future__ import annotations

from typing import Any

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, select, update

from zmart_pipelines.ledger.ingest import projector
from zmart_pipelines.ledger.ingest.writer import run_in_transaction
from zmart_pipelines.ledger.model.decode import Reading, decode, event_json, market_address_bytes
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.ledger.readers.confirmed_cache import raw_transaction_from_row
from zmart_pipelines.ledger.rows import event_rows, market_rows
from zmart_pipelines.program.events import event_name
from zmart_pipelines.store.locks import CONFIGURATION, lock, lock_markets
from zmart_pipelines.store.tables import chain

_transactions = chain.transactions
_events = chain.events


class RedecodeReport(msgspec.Struct, frozen=True):
    """How many quarantined events there were, and how many can be read now."""

    quarantined: int
    decoded: int
    markets: frozenset[bytes]


def redecode_quarantined(engine: Engine, program: Pubkey) -> RedecodeReport:
    """Decode every quarantined event anew; what can be read now joins its market."""

    def work(conn: Connection) -> RedecodeReport:
        # The fixed decoder may find events of the configuration: nobody folds meanwhile.
        lock(conn, CONFIGURATION)
        quarantined = _load_quarantined(conn)
        decoded = 0
        markets: set[bytes] = set()
        for row in quarantined:
            reading = decode(raw_transaction_from_row(row), program)
            decoded += _store_decoded_event(conn, reading, row.log_index, markets)
            if reading.gap is None:
                event_rows.close_gaps(conn, [reading.signature], ["incomplete"])
        lock_markets(conn, [market_address_bytes(program, one) for one in markets])
        markets |= projector.refold_configuration(conn)
        projector.update_projections(conn, program, {}, markets, Commitment.ORPHANED)
        return RedecodeReport(len(quarantined), decoded, frozenset(markets))

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


def _store_decoded_event(
    conn: Connection, reading: Reading, log_index: int, markets: set[bytes]
) -> int:
    for event in reading.events:
        if event.log_index != log_index or event.event is None:
            continue
        market_id = event.market_id
        if market_id is None and event.market is not None:
            market_id = market_rows.load_market_ids(conn, [event.market]).get(event.market)
        conn.execute(
            update(_events)
            .where(
                _events.c.signature == reading.signature,
                _events.c.digest == reading.digest,
                _events.c.log_index == log_index,
            )
            .values(
                name=event_name(event.event),
                market_id=market_id,
                data=msgspec.json.decode(event_json(event.event)),
                instruction=event.instruction,
                quarantine_reason=None,
            )
        )
        if market_id is not None:
            markets.add(market_id)
        return 1
    return 0
