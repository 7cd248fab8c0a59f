"""The pollers: what the chain lists is what the ledger must hold.

``poll_confirmed`` is quick and shows what webhooks missed. ``read_finalized_window`` is the
proof: it reads closed windows of slots at finalized, and records them as covered in the
transaction after which everything in them is there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.writer import ingest, run_in_transaction
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import coverage, finality
from zmart_pipelines.ledger.readers.confirmed_cache import load_confirmed
from zmart_pipelines.ledger.readers.listing_windows import ListingWindow, iter_windows
from zmart_pipelines.ledger.readers.rpc_reader import (
    UnreadTransaction,
    fetch_transactions,
    list_window,
)
from zmart_pipelines.ledger.rows import event_rows
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.stream import announce
from zmart_pipelines.store.tables import chain

# Slots read again at each look, against nodes that list late or out of order.
OVERLAP: Final = 32
# How far back the first confirmed poll looks; what is older is the finalized window's.
INITIAL_LOOKBACK: Final = 512
MAX_CONFIRMED_PAGES: Final = 5
CHUNK: Final = 200


class PollReport(msgspec.Struct, frozen=True):
    """One confirmed poll.

    :ivar first_slot: where it began; ``last_slot`` the node's confirmed slot.
    :ivar listed: signatures in between; ``fetched`` those that had to be read.
    :ivar withdrawn: readings of slots that the chain turned out to have skipped.
    :ivar complete: whether all that was listed has been read.
    """

    first_slot: int
    last_slot: int
    listed: int
    fetched: int
    unread: int
    orphaned: int
    complete: bool
    result: IngestResult


class WindowReport(msgspec.Struct, frozen=True):
    """One finalized reading, from ``first_slot`` to ``last_slot`` (both covered now).

    :ivar listed: signatures in between; ``fetched`` those that had to be read. ``recalled``
        had been read at confirmed and are listed just so.
    :ivar holes: between covered ranges, after this window.
    :ivar gaps: opened for listed transactions that could not be read.
    :ivar gaps_closed: of those that earlier windows left open.
    :ivar settled: reported readings that were looked up because they were 30 s old.
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


def poll_confirmed(
    engine: Engine, rpc: RpcClient, settings: Settings, *, seconds: float = 1.5
) -> PollReport:
    """Read what was confirmed since the last look, within about ``seconds``.

    The cursor moves only when everything listed was read. Raises what RpcClient raises.
    """
    program = settings.program
    tip = rpc.slot("confirmed")
    with engine.connect() as conn:
        known = [coverage.read_cursor(conn, "confirmed"), coverage.read_cursor(conn, "finalized")]
    stands = max((slot for slot in known if slot is not None), default=tip - INITIAL_LOOKBACK)
    first = max(0, min(stands, tip) - OVERLAP)
    listed, closed = list_window(
        rpc,
        program,
        first_slot=first,
        commitment="confirmed",
        min_context_slot=tip,
        page_size=settings.poll_page_size,
        max_pages=MAX_CONFIRMED_PAGES,
    )
    wanted = transactions_to_read(engine, listed, Commitment.CONFIRMED)
    answers = fetch_transactions(rpc, program, wanted, "confirmed", seconds=seconds)
    taken = _ingest_in_chunks(
        engine, answers, Source.CONFIRMED_POLL, Commitment.CONFIRMED, settings
    )
    skipped = IngestResult()
    if closed:
        skipped = finality.orphan_skipped_slots(engine, rpc, settings, first, tip, listed)
        announce(settings.redis_url.get_secret_value(), skipped.positions)
    # A window too long to close is left to the finalized reader, which pages to its end.
    if taken.late == 0:
        with engine.begin() as conn:
            coverage.advance_cursor(conn, "confirmed", tip)
    return PollReport(
        first_slot=first,
        last_slot=tip,
        listed=len(listed),
        fetched=taken.read,
        unread=len(taken.unread),
        orphaned=skipped.orphaned,
        complete=closed and taken.late == 0 and not taken.unread,
        result=taken.result.merge(skipped),
    )


def read_finalized_window(engine: Engine, rpc: RpcClient, settings: Settings) -> WindowReport:
    """Read everything from the cursor to the finalized slot, and cover it.

    Long histories in windows of bounded size, each committed with its coverage. Also retries
    what earlier windows could not read, and looks up readings that only a webhook has told of.
    Idempotent; a failure in between leaves the cursor after the last whole window.
    """
    closed = retry_gaps(engine, rpc, settings)
    settled, looked_up = finality.verify_reported(engine, rpc, settings)
    announce(settings.redis_url.get_secret_value(), settled.positions)
    tip = rpc.slot("finalized")
    with engine.connect() as conn:
        stands = coverage.read_cursor(conn, "finalized")
    first = 0 if stands is None else max(0, min(stands + 1, tip) - OVERLAP)
    done: list[_WindowResult] = []
    for window in iter_windows(
        rpc,
        settings.program,
        first_slot=first,
        last_slot=tip,
        tip=tip,
        page_size=settings.poll_page_size,
    ):
        done.append(_read_window(engine, rpc, settings, window))
        if len(done) == 1:
            first = window.first_slot
    with engine.connect() as conn:
        ranges = health.coverage(conn)
    result = settled
    for one in done:
        result = result.merge(one.result)
    return WindowReport(
        first_slot=first,
        last_slot=tip,
        listed=sum(one.listed for one in done),
        fetched=sum(one.fetched for one in done),
        reused=sum(one.reused for one in done),
        gaps=sum(one.gaps for one in done),
        gaps_closed=closed,
        reported_verified=looked_up,
        uncovered_ranges=max(0, len(ranges) - 1),
        result=result,
    )


class _WindowResult(msgspec.Struct, frozen=True):
    """What one window brought; the fields are those of the report."""

    listed: int
    fetched: int
    reused: int
    gaps: int
    result: IngestResult


def _read_window(
    engine: Engine, rpc: RpcClient, settings: Settings, window: ListingWindow
) -> _WindowResult:
    """Read what is not there of a window, then cover it and move the cursor behind it."""
    recalled = load_confirmed(engine, window.rows)
    held = {one.signature for one in recalled}
    wanted = [
        one
        for one in transactions_to_read(engine, window.rows, Commitment.FINALIZED)
        if one[0] not in held
    ]
    answers = itertools.chain(
        recalled, fetch_transactions(rpc, settings.program, wanted, "finalized")
    )
    taken = _ingest_in_chunks(
        engine, answers, Source.FINALIZED_WINDOW, Commitment.FINALIZED, settings
    )
    listed = {row.signature for row in window.rows}

    def close(conn: Connection) -> IngestResult:
        event_rows.open_gaps(conn, taken.gaps)
        coverage.record_coverage(conn, window.first_slot, window.last_slot)
        coverage.advance_cursor(conn, "finalized", window.last_slot)
        return finality.orphan_unlisted(
            conn, window.first_slot, window.last_slot, listed, settings.program
        )

    last = run_in_transaction(engine, close)
    announce(settings.redis_url.get_secret_value(), last.positions)
    return _WindowResult(
        listed=len(listed),
        fetched=taken.read - len(recalled),
        reused=len(recalled),
        gaps=len(taken.gaps),
        result=taken.result.merge(last),
    )


def retry_gaps(engine: Engine, rpc: RpcClient, settings: Settings, *, limit: int = 50) -> int:
    """Read again what is listed but was not there; how many gaps that closed."""
    gaps = chain.gaps
    with engine.connect() as conn:
        due = conn.execute(
            select(gaps.c.signature, gaps.c.slot)
            .where(
                gaps.c.closed_at.is_(None),
                gaps.c.kind == "unread",
                gaps.c.retry_at <= func.now(),
            )
            .order_by(gaps.c.retry_at)
            .limit(limit)
        ).all()
    wanted = [(row.signature, row.slot, None) for row in due]
    answers = fetch_transactions(rpc, settings.program, wanted, "finalized")
    taken = _ingest_in_chunks(
        engine, answers, Source.FINALIZED_WINDOW, Commitment.FINALIZED, settings
    )
    if taken.gaps:
        with engine.begin() as conn:
            event_rows.open_gaps(conn, taken.gaps)
    return taken.read


def transactions_to_read(
    engine: Engine, listed: Sequence[SignatureInfo], level: Commitment
) -> list[tuple[bytes, int | None, int | None]]:
    """What must be read of a listing: what is not there, not so settled, or elsewhere.

    What was read before it was finalized counts as missing: until then it may have moved.
    """
    if not listed:
        return []
    table = chain.transactions
    with engine.connect() as conn:
        rows = conn.execute(
            select(table.c.signature, table.c.slot, table.c.commitment).where(
                table.c.signature.in_([row.signature for row in listed]),
                table.c.commitment != Commitment.ORPHANED.value,
            )
        ).all()
    held = {
        row.signature: row.slot for row in rows if Commitment(row.commitment).rank >= level.rank
    }
    return [
        (row.signature, row.slot, row.index_in_block)
        for row in listed
        if held.get(row.signature) != row.slot
    ]


class _ChunkedIngest(msgspec.Struct):
    """What became of transactions that were asked for; ``late`` were not reached in time."""

    read: int = 0
    late: int = 0
    unread: list[UnreadTransaction] = []
    result: IngestResult = IngestResult()

    @property
    def gaps(self) -> list[event_rows.Gap]:
        return [
            event_rows.Gap(one.signature, "unread", one.slot, one.reason) for one in self.unread
        ]


def _ingest_in_chunks(
    engine: Engine,
    answers: Iterable[RawTransaction | UnreadTransaction | None],
    source: Source,
    commitment: Commitment,
    settings: Settings,
) -> _ChunkedIngest:
    """Ingest transactions as they are read, a chunk per database transaction, and announce."""
    taken = _ChunkedIngest()
    chunk: list[RawTransaction] = []

    def store() -> None:
        result = ingest(
            engine, chunk, source=source, commitment=commitment, program=settings.program
        )
        announce(settings.redis_url.get_secret_value(), result.positions)
        taken.result = taken.result.merge(result)
        taken.read += len(chunk)
        chunk.clear()

    for answer in answers:
        if answer is None:
            taken.late += 1
        elif isinstance(answer, UnreadTransaction):
            taken.unread.append(answer)
        else:
            chunk.append(answer)
            if len(chunk) == CHUNK:
                store()
    if chunk:
        store()
    return taken
