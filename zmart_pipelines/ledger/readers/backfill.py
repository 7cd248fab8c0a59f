"""Reading ranges of slots that nobody has read yet, under a budget of RPC calls.

What is missing of a range is listed to its first slot, then read from the oldest on, so that
the projection folds forward. Each chunk is committed together with the coverage it proves:
whatever ends a backfill, the next one goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.endpoint_guard import EndpointGuard
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_rpc
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.writer import ingest, run_in_transaction
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import coverage, finality
from zmart_pipelines.ledger.readers.listing_windows import ListingWindow, iter_windows
from zmart_pipelines.ledger.readers.poll import CHUNK, transactions_to_read
from zmart_pipelines.ledger.readers.rpc_reader import (
    ContradictoryListing,
    ListingAnchor,
    UnreadTransaction,
    fetch_transactions,
)
from zmart_pipelines.ledger.rows import event_rows
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.stream import announce
from zmart_pipelines.store.tables import chain

# How long rate limits may delay one read before the backfill stops; what it read is kept.
PATIENCE_SECONDS: Final = 900.0

TransactionRef = tuple[bytes, int | None, int | None]

_log = logging.getLogger(__name__)
_transactions = chain.transactions


class BackfillProgress(msgspec.Struct, frozen=True):
    """How far a backfill is.

    :ivar slot: everything of the range up to here is covered; None at the start.
    :ivar listed: signatures of the range found so far that had to be covered.
    :ivar read: of those, how many are in the ledger now or known to be unreadable.
    """

    first_slot: int
    last_slot: int
    slot: int | None
    listed: int
    read: int


class BackfillReport(msgspec.Struct, frozen=True):
    """What became of a range.

    :ivar last_slot: as asked for; ``finalized_slot`` is how far the node can prove anything.
    :ivar covered_before: slots that were covered already, ``covered_now`` those added.
    :ivar listed: signatures in what was missing; ``fetched`` those that had to be read.
    :ivar uncovered: what is still missing, as (first, last).
    :ivar gaps: transactions of the range that are listed and could not be read; they are
        retried by the finalized reader.
    :ivar calls: RPC calls, ``limited`` those answered 429.
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
        """Whether the range is covered to its end and every transaction of it is there."""
        return not self.uncovered and not self.gaps

    @property
    def missing(self) -> str:
        """Why it is not complete, for people; empty when it is."""
        reasons = []
        for first, last in self.uncovered:
            if first > self.finalized_slot:
                reasons.append(f"only slots up to {self.finalized_slot} are finalized")
            else:
                reasons.append(f"no node has the history of slots {first} to {last} any more")
        if self.gaps:
            reasons.append(
                f"{self.gaps} listed transactions could not be read; the finalized reader tries on"
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
    """Read what is not covered of the slots from first to last, inclusive, and cover it.

    Slots beyond the finalized one are left uncovered. Idempotent and resumable; what
    RpcClient raises leaves everything read before in place. ValueError for a bad range.
    """
    _check_range(first_slot, last_slot)
    calls, limited = rpc.calls, rpc.rate_limited
    tip = rpc.slot("finalized")
    last = min(last_slot, tip)
    with engine.connect() as conn:
        holes = coverage.uncovered_within(conn, first_slot, last) if first_slot <= last else []
    work = _BackfillRun(
        engine, rpc, settings, tip, BackfillProgress(first_slot, last, None, 0, 0), progress
    )
    for first, end in holes:
        work.fill(first, end)
    with engine.connect() as conn:
        left = coverage.uncovered_within(conn, first_slot, last_slot)
        gaps = _open_gaps(conn, first_slot, last_slot)
    asked = max(0, last - first_slot + 1)
    missed = sum(end - first + 1 for first, end in holes)
    return BackfillReport(
        first_slot=first_slot,
        last_slot=last_slot,
        finalized_slot=tip,
        covered_before=asked - missed,
        covered_now=missed,
        listed=work.state.listed,
        fetched=work.fetched,
        uncovered=tuple(left),
        gaps=gaps,
        calls=rpc.calls - calls,
        limited=rpc.rate_limited - limited,
        result=work.result,
    )


def uncovered_ranges(conn: Connection) -> list[tuple[int, int]]:
    """What lies between covered ranges, as (first, last) in order."""
    ranges = health.coverage(conn)
    pairs = pairwise(ranges)
    return [(one.last_slot + 1, following.first_slot - 1) for one, following in pairs]


def split_ranges(
    ranges: Sequence[tuple[int, int]], size: int, *, limit: int
) -> list[tuple[int, int]]:
    """The ranges cut at multiples of ``size``, the first ``limit`` pieces."""
    cut: list[tuple[int, int]] = []
    for first, last in ranges:
        start = first
        while start <= last and len(cut) < limit:
            end = min(last, start - start % size + size - 1)
            cut.append((start, end))
            start = end + 1
    return cut


def _check_range(first_slot: int, last_slot: int) -> None:
    if first_slot < 0:
        raise ValueError("the first slot must not be negative")
    if last_slot < first_slot:
        raise ValueError(f"the last slot, {last_slot}, is before the first, {first_slot}")
    if last_slot >= 2**63 - 1:
        raise ValueError(f"no chain has a slot {last_slot}")


def _open_gaps(conn: Connection, first_slot: int, last_slot: int) -> int:
    return conn.execute(
        select(func.count()).where(
            chain.gaps.c.closed_at.is_(None),
            chain.gaps.c.kind == "unread",
            chain.gaps.c.slot.between(first_slot, last_slot),
        )
    ).scalar_one()


class _BackfillRun:
    """One backfill: the holes of its range, one after the other."""

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

    def fill(self, first_slot: int, last_slot: int) -> None:
        """List a hole to its first slot, read what is not there, cover it as it is read."""
        for window in self._windows(first_slot, last_slot):
            listed = window.rows
            self._tell(listed=self.state.listed + len(listed))
            signatures = {row.signature for row in listed}
            reached = window.first_slot
            for start in range(0, len(listed) or 1, CHUNK):
                chunk = listed[start : start + CHUNK]
                following = listed[start + CHUNK : start + CHUNK + 1]
                # All of a slot must be there before it is covered.
                end = following[0].slot - 1 if following else window.last_slot
                self._read(chunk, reached, end, signatures)
                reached = max(reached, end + 1)

    def _windows(self, first_slot: int, last_slot: int) -> Iterator[ListingWindow]:
        """The hole's windows, the oldest first, from the nearest place that the node knows."""

        def begin(anchor: ListingAnchor | None) -> Iterator[ListingWindow]:
            return iter_windows(
                self.rpc,
                self.settings.program,
                first_slot=first_slot,
                last_slot=last_slot,
                tip=self.tip,
                page_size=self.settings.poll_page_size,
                anchor=anchor,
            )

        found = begin(self._anchor(last_slot))
        try:
            oldest = next(found, None)
        except ContradictoryListing:
            found = begin(None)
            oldest = next(found, None)
        if oldest is not None:
            yield oldest
            yield from found

    def _read(
        self,
        chunk: Sequence[SignatureInfo],
        first_slot: int,
        last_slot: int,
        listed: Collection[bytes],
    ) -> None:
        """Read a chunk of the listing; commit it with the slots that are whole by it."""
        found, unread = self._fetch(transactions_to_read(self.engine, chunk, Commitment.FINALIZED))
        gaps = [event_rows.Gap(one.signature, "unread", one.slot, one.reason) for one in unread]
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
            absent = finality.orphan_unlisted(conn, first_slot, last_slot, listed, program)
            return result.merge(absent)

        result = run_in_transaction(self.engine, store)
        announce(self.settings.redis_url.get_secret_value(), result.positions)
        self.fetched += len(found)
        self.result = self.result.merge(result)
        slot = max(last_slot, first_slot - 1)
        self._tell(slot=slot if slot >= 0 else None, read=self.state.read + len(chunk))

    def _tell(self, **changes: int | None) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        self.progress(self.state)

    def _anchor(self, last_slot: int) -> ListingAnchor | None:
        """A transaction above the hole to begin the listing at; None for the tip.

        Between it and the hole lies another one, which a node that knows the first must list.
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
        self, wanted: Sequence[TransactionRef]
    ) -> tuple[list[RawTransaction], list[UnreadTransaction]]:
        """Read transactions, by the page where the endpoint can, else one by one."""
        found = {one.signature: one for one in self._in_bulk(wanted)}
        rest = [one for one in wanted if one[0] not in found]
        unread = []
        for answer in fetch_transactions(self.rpc, self.settings.program, rest, "finalized"):
            if isinstance(answer, RawTransaction):
                found[answer.signature] = answer
            elif answer is not None:
                unread.append(answer)
        return [found[one[0]] for one in wanted if one[0] in found], unread

    def _in_bulk(self, wanted: Sequence[TransactionRef]) -> list[RawTransaction]:
        """Those that getTransactionsForAddress gives; none where it is not offered.

        The listing stays what decides which there are: some endpoints keep less history
        behind this method than behind the others.
        """
        if not wanted or not self._offers_bulk:
            return []
        slots = [slot for _, slot, _ in wanted if slot is not None]
        bodies: list[bytes] = []
        token: str | None = None
        try:
            while True:
                page, token = self.rpc.transactions_for_address(
                    self.settings.program,
                    first_slot=min(slots),
                    last_slot=max(slots),
                    token=token,
                )
                bodies += page
                if token is None:
                    break
        except RateLimited:
            raise
        except (RpcError, RpcUnavailable) as error:
            # Not offered, not in the plan (403), or not now: the ordinary way decides.
            _log.info("reading transactions one by one: %s", error)
            self._offers_bulk = False
        listed = {(signature, slot) for signature, slot, _ in wanted}
        found = []
        for body in bodies:
            try:
                one = from_rpc(body, self.settings.program)
            except PayloadError as error:
                _log.warning("a transaction of a page is read by itself: %s", error)
                continue
            if (one.signature, one.slot) in listed:
                found.append(one)
        return found
