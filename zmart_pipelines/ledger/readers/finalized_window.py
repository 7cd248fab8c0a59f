"""The finalized window: reads closed windows of slots, and proves that nothing is missing.

A window is recorded as covered in the transaction after which everything in it is stored.
"""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import coverage, finality
from zmart_pipelines.ledger.readers.confirmed_cache import load_confirmed
from zmart_pipelines.ledger.readers.listed_transactions import (
    ingest_in_chunks,
    refuse_incomplete_window,
    transactions_to_read,
)
from zmart_pipelines.ledger.readers.listing_windows import ListingWindow, iter_windows
from zmart_pipelines.ledger.readers.rpc_reader import (
    OVERLAP_SLOTS,
    TransactionRef,
    fetch_transactions,
)
from zmart_pipelines.ledger.rows import event_rows
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain


class FinalizedWindowReport(msgspec.Struct, frozen=True):
    """One finalized reading; all slots from ``first_slot`` to ``last_slot`` are covered now.

    Attributes:
        listed: signatures in between.
        fetched: those that had to be read.
        reused: those that were read at confirmed and are listed unchanged.
        gaps: gaps opened for listed transactions that could not be read.
        gaps_closed: gaps of earlier windows that were closed.
        reported_verified: reported readings that were looked up because they were 30 s old.
        uncovered_ranges: how many ranges between covered ones are uncovered now.
    """

    first_slot: int
    last_slot: int
    listed: int
    fetched: int
    reused: int
    gaps: int
    gaps_closed: int
    reported_verified: int
    uncovered_ranges: int
    result: IngestResult


def read_finalized_window(
    engine: Engine, rpc: RpcClient, settings: Settings
) -> FinalizedWindowReport:
    """Read everything from the cursor to the finalized slot, and cover it.

    A long history is read in windows of bounded size, each committed with its coverage. Also
    retries what earlier windows could not read, and looks up readings that only a webhook has
    reported. Idempotent; a failure leaves the cursor after the last complete window.
    """
    gaps_closed = retry_gaps(engine, rpc, settings)
    verified, reported_verified = finality.verify_reported(engine, rpc, settings)
    started = time.monotonic()
    tip = rpc.slot("finalized")
    with engine.connect() as conn:
        cursor = coverage.read_cursor(conn, "finalized")
    first = 0 if cursor is None else max(0, min(cursor + 1, tip) - OVERLAP_SLOTS)
    done: list[_WindowResult] = []
    for window in iter_windows(
        rpc,
        settings.program,
        first_slot=first,
        last_slot=tip,
        tip=tip,
        page_size=settings.poll_page_size,
        check=partial(refuse_incomplete_window, engine),
    ):
        done.append(_read_window(engine, rpc, settings, window, tip, started))
        if len(done) == 1:
            first = window.first_slot
    with engine.connect() as conn:
        uncovered_ranges = len(coverage.uncovered_ranges(conn))
    result = verified
    for window_result in done:
        result = result.merge(window_result.result)
    return FinalizedWindowReport(
        first_slot=first,
        last_slot=tip,
        listed=sum(window_result.listed for window_result in done),
        fetched=sum(window_result.fetched for window_result in done),
        reused=sum(window_result.reused for window_result in done),
        gaps=sum(window_result.gaps for window_result in done),
        gaps_closed=gaps_closed,
        reported_verified=reported_verified,
        uncovered_ranges=uncovered_ranges,
        result=result,
    )


class _WindowResult(msgspec.Struct, frozen=True):
    """One window; the fields are those of ``FinalizedWindowReport``."""

    listed: int
    fetched: int
    reused: int
    gaps: int
    result: IngestResult


def _read_window(
    engine: Engine,
    rpc: RpcClient,
    settings: Settings,
    window: ListingWindow,
    tip: int,
    tip_seen: float,
) -> _WindowResult:
    """Read what is missing of a window, then cover it and advance the cursor past it.

    ``tip`` is the finalized slot that the node named at ``tip_seen``, in monotonic seconds.
    """
    reused = load_confirmed(engine, window.rows, settings.program)
    reused_signatures = {transaction.signature for transaction in reused}
    refs = [
        ref
        for ref in transactions_to_read(engine, window.rows, Commitment.FINALIZED)
        if ref.signature not in reused_signatures
    ]
    fetched = fetch_transactions(rpc, settings.program, refs, "finalized")
    ingested = ingest_in_chunks(
        engine,
        itertools.chain(reused, fetched),
        Source.FINALIZED_WINDOW,
        Commitment.FINALIZED,
        settings.program,
    )
    listed = {row.signature for row in window.rows}

    def close_window(conn: Connection) -> IngestResult:
        event_rows.open_gaps(conn, ingested.gaps)
        coverage.record_coverage(conn, window.first_slot, window.last_slot)
        tip_age = time.monotonic() - tip_seen if window.last_slot >= tip else None
        coverage.advance_cursor(conn, "finalized", window.last_slot, tip_age=tip_age)
        return finality.orphan_unlisted(
            conn, window.first_slot, window.last_slot, listed, settings.program
        )

    closed = run_in_transaction(engine, close_window)
    return _WindowResult(
        listed=len(listed),
        fetched=ingested.read - len(reused),
        reused=len(reused),
        gaps=len(ingested.gaps),
        result=ingested.result.merge(closed),
    )


# Kinds of gaps that reading again may close.
_RETRIED: Final = ("unread", "unsupported", "contradictory", "incomplete")


def retry_gaps(engine: Engine, rpc: RpcClient, settings: Settings, *, limit: int = 50) -> int:
    """Read again what could not be read completely; return how many gaps that closed."""
    gaps = chain.gaps
    with engine.connect() as conn:
        due = conn.execute(
            select(gaps.c.id, gaps.c.signature, gaps.c.slot, gaps.c.kind)
            .where(
                gaps.c.closed_at.is_(None),
                gaps.c.kind.in_(_RETRIED),
                gaps.c.retry_at <= func.now(),
            )
            .order_by(gaps.c.retry_at)
            .limit(limit)
        ).all()
    if not due:
        return 0
    refs: dict[bytes, TransactionRef] = {}
    for row in due:
        # Another answer that contradicts the listing does not close the gap either.
        contradictory = row.kind == "contradictory"
        refs[row.signature] = TransactionRef(
            row.signature, row.slot, is_listed=contradictory, is_of_program=contradictory
        )
    answers = fetch_transactions(rpc, settings.program, refs.values(), "finalized")
    ingested = ingest_in_chunks(
        engine, answers, Source.FINALIZED_WINDOW, Commitment.FINALIZED, settings.program
    )
    ids = [row.id for row in due]
    with engine.begin() as conn:
        event_rows.open_gaps(conn, ingested.gaps)
        event_rows.postpone_gaps(conn, ids)
        return conn.execute(
            select(func.count()).where(gaps.c.id.in_(ids), gaps.c.closed_at.isnot(None))
        ).scalar_one()
