"""Backfill: reads the uncovered slots of a range, under a budget of RPC calls.

What is uncovered is listed to its first slot, then read from the oldest on, so that the
projection folds forward. Each chunk is committed together with the coverage it proves, so an
interrupted backfill is resumed by the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.endpoint_guard import EndpointGuard
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.signature_listing import ContradictoryListing, ListingAnchor
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_rpc
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.decode import decode
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import coverage, finality
from zmart_pipelines.ledger.readers.listed_transactions import (
    CHUNK_SIZE,
    gaps_of_unread,
    refuse_incomplete_window,
    transactions_to_read,
)
from zmart_pipelines.ledger.readers.listing_windows import ListingWindow, iter_windows
from zmart_pipelines.ledger.readers.rpc_reader import (
    TransactionRef,
    UnreadTransaction,
    checked_answer,
    fetch_transactions,
)
from zmart_pipelines.ledger.rows import event_rows
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain

# How long rate limits may delay one read before the backfill stops; what it read is kept.
PATIENCE_SECONDS: Final = 900.0

_log = logging.getLogger(__name__)
_transactions = chain.transactions


class BackfillProgress(msgspec.Struct, frozen=True):
    """How far a backfill is.

    Attributes:
        slot: everything of the range up to here is covered; None at the start.
        listed: signatures found so far in what was uncovered.
        read: those of them that are in the ledger now or known to be unreadable.
    """

    first_slot: int
    last_slot: int
    slot: int | None
    listed: int
    read: int


class BackfillReport(msgspec.Struct, frozen=True):
    """What became of a range.

    Attributes:
        last_slot: the last slot that was requested.
        finalized_slot: the last slot that the node can prove anything about.
        covered_before: how many slots were covered already.
        covered_now: how many slots this backfill covered.
        listed: signatures in what was uncovered.
        fetched: those that had to be read.
        uncovered: what is still uncovered, as (first, last).
        gaps: transactions of the range that are listed and could not be read; the finalized
            reader retries them.
        calls: RPC calls.
        limited: RPC calls that were answered 429.
    """

    first_slot: int
    last_slot: int
    finalized_slot: int
    covered_before: int
    covered_now: int
    listed: int
    fetched: int
    uncovered: tuple[tuple[int, int], ...]
    gaps: int
    calls: int
    limited: int
    result: IngestResult

    @property
    def complete(self) -> bool:
        """Whether the range is covered to its end and all its transactions are stored."""
        return not self.uncovered and not self.gaps

    @property
    def missing(self) -> str:
        """Why the range is not complete, for operators; empty if it is."""
        reasons = []
        for first, last in self.uncovered:
            if first > self.finalized_slot:
                reasons.append(f"only slots up to {self.finalized_slot} are finalized")
            else:
                reasons.append(f"no node has the history of slots {first} to {last} any more")
        if self.gaps:
            reasons.append(
                f"{self.gaps} listed transactions could not be read; "
                "the finalized reader retries them"
            )
        return ", ".join(reasons)


def backfill_client(settings: Settings, guard: EndpointGuard | None = None) -> RpcClient:
    """Return the client for a backfill, limited to ``backfill_calls_per_second`` per endpoint.

    The threads that use the client share its limit, so that a backfill leaves the rest of the
    endpoint's limit to the polls. ``guard`` as for ``chain.connect``.
    """
    return connect(
        settings,
        guard=guard,
        calls_per_second=settings.backfill_calls_per_second,
        patience=PATIENCE_SECONDS,
    )


def backfill(
    engine: Engine,
    rpc: RpcClient,
    settings: Settings,
    *,
    first_slot: int,
    last_slot: int,
    progress: Callable[[BackfillProgress], None] = lambda _: None,
) -> BackfillReport:
    """Read and cover what is uncovered of the slots from first to last, inclusive.

    Slots beyond the finalized one are left uncovered. Idempotent and resumable: if RpcClient
    raises, everything read before is kept.

    Raises:
        ValueError: the range is not valid.
    """
    _check_range(first_slot, last_slot)
    calls, limited = rpc.calls, rpc.rate_limited
    tip = rpc.slot("finalized")
    last = min(last_slot, tip)
    with engine.connect() as conn:
        uncovered = coverage.uncovered_within(conn, first_slot, last) if first_slot <= last else []
    run = _BackfillRun(
        engine, rpc, settings, tip, BackfillProgress(first_slot, last, None, 0, 0), progress
    )
    for first, end in uncovered:
        run.cover_range(first, end)
    with engine.connect() as conn:
        still_uncovered = coverage.uncovered_within(conn, first_slot, last_slot)
        gaps = _count_open_gaps(conn, first_slot, last_slot)
    requested = max(0, last - first_slot + 1)
    covered_now = sum(end - first + 1 for first, end in uncovered)
    return BackfillReport(
        first_slot=first_slot,
        last_slot=last_slot,
        finalized_slot=tip,
        covered_before=requested - covered_now,
        covered_now=covered_now,
        listed=run.state.listed,
        fetched=run.fetched,
        uncovered=tuple(still_uncovered),
        gaps=gaps,
        calls=rpc.calls - calls,
        limited=rpc.rate_limited - limited,
        result=run.result,
    )


def _check_range(first_slot: int, last_slot: int) -> None:
    if first_slot < 0:
        raise ValueError("the first slot must not be negative")
    if last_slot < first_slot:
        raise ValueError(f"the last slot, {last_slot}, is before the first, {first_slot}")
    if last_slot >= 2**63 - 1:
        raise ValueError(f"slot {last_slot} is out of range")


def _count_open_gaps(conn: Connection, first_slot: int, last_slot: int) -> int:
    return conn.execute(
        select(func.count()).where(
            chain.gaps.c.closed_at.is_(None),
            chain.gaps.c.kind.in_(("unread", "unsupported", "contradictory")),
            chain.gaps.c.slot.between(first_slot, last_slot),
        )
    ).scalar_one()


class _BackfillRun:
    """One backfill: the uncovered parts of its range, one after the other."""

    def __init__(
        self,
        engine: Engine,
        rpc: RpcClient,
        settings: Settings,
        tip: int,
        state: BackfillProgress,
        progress: Callable[[BackfillProgress], None],
    ) -> None:
        self.engine = engine
        self.rpc = rpc
        self.settings = settings
        self.tip = tip
        self.state = state
        self.progress = progress
        self.fetched = 0
        self.result = IngestResult()
        self._offers_bulk = True

    def cover_range(self, first_slot: int, last_slot: int) -> None:
        """List an uncovered range to its first slot, then read and cover it chunk by chunk."""
        for window in self._windows(first_slot, last_slot):
            listed = window.rows
            self._report_progress(listed=self.state.listed + len(listed))
            signatures = {row.signature for row in listed}
            reached = window.first_slot
            for start in range(0, len(listed) or 1, CHUNK_SIZE):
                chunk = listed[start : start + CHUNK_SIZE]
                following = listed[start + CHUNK_SIZE : start + CHUNK_SIZE + 1]
                # A slot is covered only when all of its transactions are stored.
                end = following[0].slot - 1 if following else window.last_slot
                self._store_chunk(chunk, reached, end, signatures)
                reached = max(reached, end + 1)

    def _windows(self, first_slot: int, last_slot: int) -> Iterator[ListingWindow]:
        """Yield the range's windows, the oldest first, listed from the nearest known anchor."""

        def windows_from(anchor: ListingAnchor | None) -> Iterator[ListingWindow]:
            return iter_windows(
                self.rpc,
                self.settings.program,
                first_slot=first_slot,
                last_slot=last_slot,
                tip=self.tip,
                page_size=self.settings.poll_page_size,
                anchor=anchor,
                check=partial(refuse_incomplete_window, self.engine),
            )

        found = windows_from(self._anchor_above(last_slot))
        try:
            oldest = next(found, None)
        except ContradictoryListing:
            # The node does not know the anchor; begin at the tip.
            found = windows_from(None)
            oldest = next(found, None)
        if oldest is not None:
            yield oldest
            yield from found

    def _store_chunk(
        self,
        chunk: Sequence[SignatureInfo],
        first_slot: int,
        last_slot: int,
        listed: Collection[bytes],
    ) -> None:
        """Read a chunk of the listing; commit it with the slots that it completes."""
        refs = transactions_to_read(self.engine, chunk, Commitment.FINALIZED)
        found, unread = self._fetch(refs)
        gaps = gaps_of_unread(unread)
        program = self.settings.program

        def store(conn: Connection) -> IngestResult:
            event_rows.open_gaps(conn, gaps)
            if first_slot <= last_slot:
                coverage.record_coverage(conn, first_slot, last_slot)
            result = ingest(
                conn,
                found,
                source=Source.BACKFILL,
                commitment=Commitment.FINALIZED,
                program=program,
            )
            orphaned = finality.orphan_unlisted(conn, first_slot, last_slot, listed, program)
            return result.merge(orphaned)

        result = run_in_transaction(self.engine, store)
        self.fetched += len(found)
        self.result = self.result.merge(result)
        slot = max(last_slot, first_slot - 1)
        self._report_progress(slot=slot if slot >= 0 else None, read=self.state.read + len(chunk))

    def _report_progress(self, **changes: int | None) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        self.progress(self.state)

    def _anchor_above(self, last_slot: int) -> ListingAnchor | None:
        """Return a finalized transaction above the range to begin the listing at; None: the tip.

        Between it and the range lies another one, which a node that knows the first must list.
        """
        nearest = select(func.min(_transactions.c.slot)).where(
            _transactions.c.slot > last_slot,
            _transactions.c.commitment == Commitment.FINALIZED.value,
        )
        with self.engine.connect() as conn:
            slot: int | None = conn.execute(nearest).scalar_one()
            if slot is None:
                return None
            signature: bytes | None = conn.execute(
                select(_transactions.c.signature)
                .where(
                    _transactions.c.slot > slot,
                    _transactions.c.commitment == Commitment.FINALIZED.value,
                )
                .order_by(_transactions.c.slot)
                .limit(1)
            ).scalar_one_or_none()
        return None if signature is None else ListingAnchor(signature, slot)

    def _fetch(
        self, refs: Sequence[TransactionRef]
    ) -> tuple[list[RawTransaction], list[UnreadTransaction]]:
        """Read transactions in pages if the endpoint offers that, otherwise one by one."""
        found = {transaction.signature: transaction for transaction in self._fetch_pages(refs)}
        rest = [ref for ref in refs if ref.signature not in found]
        unread = []
        for answer in fetch_transactions(self.rpc, self.settings.program, rest, "finalized"):
            if isinstance(answer, RawTransaction):
                found[answer.signature] = answer
            elif answer is not None:
                unread.append(answer)
        return [found[ref.signature] for ref in refs if ref.signature in found], unread

    def _fetch_pages(self, refs: Sequence[TransactionRef]) -> list[RawTransaction]:
        """Read what getTransactionsForAddress returns; nothing if it is not offered.

        The listing still decides which transactions exist: some endpoints keep less history
        behind this method than behind the others.
        """
        if not refs or not self._offers_bulk:
            return []
        program = self.settings.program
        listed = {ref.signature: ref for ref in refs}
        found = []
        for body in self._fetch_page_bodies([ref.slot for ref in refs if ref.slot is not None]):
            try:
                ref = listed.get(from_rpc(body, program).signature)
            except PayloadError as error:
                _log.warning("a transaction of a page will be read by itself: %s", error)
                continue
            answer = None if ref is None else checked_answer(body, program, ref, "finalized")
            # What is not a complete reading is read by itself, and of other nodes as well.
            if isinstance(answer, RawTransaction) and decode(answer, program).gap is None:
                found.append(answer)
        return found

    def _fetch_page_bodies(self, slots: Sequence[int]) -> list[bytes]:
        bodies: list[bytes] = []
        token: str | None = None
        tokens: set[str] = set()
        try:
            while True:
                page, token = self.rpc.transactions_for_address(
                    self.settings.program,
                    first_slot=min(slots),
                    last_slot=max(slots),
                    token=token,
                )
                bodies += page
                if token is None or token in tokens:
                    # A token that comes again would be paged for ever.
                    break
                tokens.add(token)
        except RateLimited:
            raise
        except (RpcError, RpcUnavailable) as error:
            # Not offered, not in the plan (403), or unavailable: read one by one.
            _log.info("reading transactions one by one: %s", error)
            self._offers_bulk = False
        return bodies
