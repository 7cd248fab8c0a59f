"""The confirmed poll: shows within seconds what webhooks missed.

It proves nothing. The proof of completeness is ``finalized_window``.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec
from sqlalchemy import Engine

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signature_listing import from_one_node
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import coverage, finality
from zmart_pipelines.ledger.readers.listed_transactions import (
    ingest_in_chunks,
    transactions_to_read,
)
from zmart_pipelines.ledger.readers.rpc_reader import (
    OVERLAP_SLOTS,
    fetch_transactions,
    list_window,
)
from zmart_pipelines.settings import Settings

# How far back the first poll lists, in slots; older slots are left to the finalized window.
INITIAL_LOOKBACK_SLOTS: Final = 512
MAX_PAGES: Final = 5


class ConfirmedPollReport(msgspec.Struct, frozen=True):
    """One confirmed poll.

    Attributes:
        first_slot: the first slot that was listed.
        last_slot: the node's confirmed slot.
        listed: signatures in between.
        fetched: those that had to be read.
        unread: those that could not be read.
        orphaned: readings of slots that the chain turned out to have skipped.
        complete: whether everything that was listed has been read.
    """

    first_slot: int
    last_slot: int
    listed: int
    fetched: int
    unread: int
    orphaned: int
    complete: bool
    result: IngestResult


def poll_confirmed(
    engine: Engine, rpc: RpcClient, settings: Settings, *, seconds: float = 1.5
) -> ConfirmedPollReport:
    """Read what was confirmed since the last poll, within about ``seconds``.

    The cursor advances only if everything listed was read. Raises what RpcClient raises.
    """
    program = settings.program
    started = time.monotonic()
    tip = rpc.slot("confirmed")
    with engine.connect() as conn:
        cursors = [
            coverage.read_cursor(conn, "confirmed"),
            coverage.read_cursor(conn, "finalized"),
        ]
    known = [slot for slot in cursors if slot is not None]
    cursor = max(known, default=tip - INITIAL_LOOKBACK_SLOTS)
    first = max(0, min(cursor, tip) - OVERLAP_SLOTS)
    window = from_one_node(
        rpc,
        lambda node: list_window(
            node,
            program,
            first_slot=first,
            commitment="confirmed",
            min_context_slot=tip,
            page_size=settings.poll_page_size,
            max_pages=MAX_PAGES,
        ),
    )
    listed, closed = window.rows, window.closed
    refs = transactions_to_read(engine, listed, Commitment.CONFIRMED)
    answers = fetch_transactions(rpc, program, refs, "confirmed", seconds=seconds)
    ingested = ingest_in_chunks(
        engine, answers, Source.CONFIRMED_POLL, Commitment.CONFIRMED, program
    )
    skipped = IngestResult()
    if closed:
        skipped = finality.orphan_skipped_slots(engine, rpc, settings, first, tip, listed)
    # A window too long to close is left to the finalized reader, which pages to its end.
    if ingested.postponed == 0:
        with engine.begin() as conn:
            # Otherwise the lag goes on growing.
            read = closed and not ingested.unread
            tip_age = time.monotonic() - started if read else None
            coverage.advance_cursor(conn, "confirmed", tip, tip_age=tip_age)
    return ConfirmedPollReport(
        first_slot=first,
        last_slot=tip,
        listed=len(listed),
        fetched=ingested.read,
        unread=len(ingested.unread),
        orphaned=skipped.orphaned,
        complete=closed and ingested.postponed == 0 and not ingested.unread,
        result=ingested.result.merge(skipped),
    )
