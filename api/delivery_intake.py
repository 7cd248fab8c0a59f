"""Accept webhook deliveries: commit them as received, then ingest them one by one, in order.

Receiving has its own threads and the ledger one writer, so that deliveries neither wait for
each other's locks nor overtake each other, which would cause their markets to be folded
again. Small deliveries in the queue are ingested together; a large one is ingested in parts.
The sender is answered in time in any case: what is not ingested by then follows after the
answer, or is ingested from the table by the pipelines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.bulkhead import Bulkhead
from api.errors import unavailable
from api.metrics import DELIVERIES, DELIVERY_QUEUE, DELIVERY_SECONDS
from api.realtime.hub import Hub
from zmart_pipelines import tracing
from zmart_pipelines.chain.delivery_entries import parse_delivery
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.readers import deliveries, delivery_traces, hints
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.stream import announce_commits
from zmart_pipelines.structured_logs import bound, bound_id

log = logging.getLogger("api.delivery_intake")

RECEIVING_THREADS: Final = 2
# Deliveries in memory that are not stored yet; more are answered 503 and sent again.
MAX_RECEIVING: Final = 64
# Transactions ingested in one batch, of one delivery or several.
MAX_BATCH: Final = 100
# Transactions queued in memory; deliveries beyond it stay pending in the table.
MAX_QUEUED: Final = 20_000


class AcceptedDelivery(msgspec.Struct, frozen=True):
    """A stored delivery.

    Attributes:
        new_events: Events ingested so far.
        pending: Whether a part of the delivery is not ingested yet.
        unreadable: Entries that were stored, but could not be read.
    """

    delivery: int
    transactions: int
    new_events: int
    pending: bool
    unreadable: int = 0


class _StoredDelivery(msgspec.Struct, frozen=True):
    """A delivery's row and its content.

    Attributes:
        number: Transactions or hints in the delivery.
        transactions: With logs, to be ingested.
        hints_pending: None for a delivery with logs; otherwise whether any hint is new.
        unreadable: Entries that could not be read.
    """

    delivery: int
    number: int
    transactions: Sequence[RawTransaction] = ()
    hints_pending: bool | None = None
    unreadable: int = 0


@dataclass
class _QueuedDelivery:
    """The rest of a delivery, and the part of it that is ingested next.

    Attributes:
        first: Answered when the delivery's first part is ingested.
        request_id: Of the request that brought it.
        events: New events of the part; None until it is ingested.
    """

    delivery: int
    transactions: Sequence[RawTransaction]
    part: Sequence[RawTransaction]
    first: asyncio.Future[AcceptedDelivery]
    request_id: str | None
    events: int | None = None


class DeliveryIntake:
    """The intake of one process. Run with ``async with delivery_intake.running()``."""

    def __init__(self, hub: Hub, settings: Settings) -> None:
        self._program = settings.program
        self._part_size = settings.webhook_inline_transactions
        self._answer_seconds = settings.webhook_answer_seconds
        self._engine = engine(Role.INGEST, settings, pool_size=RECEIVING_THREADS + 1)
        announce_commits(self._engine, hub.announce)
        self._receiving = Bulkhead(
            "receive",
            threads=RECEIVING_THREADS,
            queue=MAX_RECEIVING,
            seconds=settings.webhook_answer_seconds,
            refusal=lambda: unavailable("The database"),
        )
        self._ingesting = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._queue: asyncio.Queue[_QueuedDelivery] = asyncio.Queue()
        self._queued_transactions = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ingest queued deliveries until the block ends; the rest stays pending."""
        work = asyncio.create_task(self._ingest_queue())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            self._receiving.close()
            self._ingesting.shutdown(wait=True, cancel_futures=True)
            self._engine.dispose()

    def _count_queued(self, transactions: int) -> None:
        self._queued_transactions += transactions
        DELIVERY_QUEUE.inc(transactions)

    async def accept(self, body: bytes) -> AcceptedDelivery:
        """Store a delivery, and ingest as much of it as the time to answer allows.

        Raises:
            PayloadError: The body is not a delivery; nothing is stored.
            ApiError: 503 when the database does not store it in time.
        """
        started = time.time_ns()
        accepted = await self._accept(body)
        if accepted.pending:
            with bound(delivery_id=accepted.delivery):
                log.info("a delivery of %d transactions is stored", accepted.transactions)
        if tracing.is_on():
            delivery_traces.record_delivery(
                accepted.delivery,
                body,
                started,
                transactions=accepted.transactions,
                pending=accepted.pending,
            )
        DELIVERIES.labels("pending" if accepted.pending else "ingested").inc()
        return accepted

    async def _accept(self, body: bytes) -> AcceptedDelivery:
        loop = asyncio.get_running_loop()
        received = loop.time()
        deadline = received + self._answer_seconds
        # After a timeout the thread continues; a delivery sent again is a further delivery of
        # the same transactions.
        stored = await self._receiving.run(lambda: self._store(body))
        accepted = AcceptedDelivery(stored.delivery, stored.number, 0, True, stored.unreadable)
        if stored.hints_pending is not None:
            return msgspec.structs.replace(accepted, pending=stored.hints_pending)
        if self._queued_transactions + stored.number > MAX_QUEUED:
            return accepted
        first: asyncio.Future[AcceptedDelivery] = loop.create_future()
        first.add_done_callback(lambda _: DELIVERY_SECONDS.observe(loop.time() - received))
        self._count_queued(stored.number)
        part = stored.transactions[: self._part_size]
        self._queue.put_nowait(
            _QueuedDelivery(
                stored.delivery, stored.transactions, part, first, bound_id("request_id")
            )
        )
        done, _ = await asyncio.wait([first], timeout=max(0.0, deadline - loop.time()))
        if not done:
            return accepted
        return msgspec.structs.replace(first.result(), unreadable=stored.unreadable)

    def _store(self, body: bytes) -> _StoredDelivery:
        content = parse_delivery(body, self._program)
        transactions, unreadable = content.transactions, content.unreadable
        if unreadable:
            log.warning("%d entries of a delivery cannot be read", len(unreadable))
        with self._engine.begin() as conn:
            if not transactions and (content.hints or unreadable):
                delivery, fresh = deliveries.store_hint_delivery(
                    conn, body, content.hints, unreadable=unreadable
                )
                return _StoredDelivery(
                    delivery,
                    len(content.hints),
                    hints_pending=fresh > 0,
                    unreadable=len(unreadable),
                )
            delivery = deliveries.store_delivery(
                conn, body, transaction_count=len(transactions), unreadable=unreadable
            )
            if content.hints:
                hints.enqueue_hints(conn, content.hints, delivery)
        return _StoredDelivery(
            delivery, len(transactions), transactions, unreadable=len(unreadable)
        )

    async def _ingest_queue(self) -> None:
        while True:
            batch = [await self._queue.get()]
            size = len(batch[0].part)
            # Everything queued meanwhile joins the batch, so that a burst costs one commit.
            while not self._queue.empty() and size < MAX_BATCH:
                batch.append(self._queue.get_nowait())
                size += len(batch[-1].part)
            self._count_queued(-size)
            if not await self._ingest(batch) and len(batch) > 1:
                # One delivery may be at fault; the others need not wait for its repair.
                for queued in batch:
                    await self._ingest([queued])
            for queued in batch:
                self._finish_part(queued)

    def _finish_part(self, queued: _QueuedDelivery) -> None:
        """Answer for the first part, and enqueue the rest of the delivery."""
        ingested = queued.events is not None
        rest = queued.transactions[len(queued.part) :]
        if not queued.first.done():
            queued.first.set_result(
                AcceptedDelivery(
                    delivery=queued.delivery,
                    transactions=len(queued.transactions),
                    new_events=queued.events or 0,
                    pending=not ingested or bool(rest),
                )
            )
        if not ingested:
            self._count_queued(-len(rest))
        elif rest:
            part = rest[: self._part_size]
            self._queue.put_nowait(
                _QueuedDelivery(queued.delivery, rest, part, queued.first, queued.request_id)
            )

    async def _ingest(self, batch: Sequence[_QueuedDelivery]) -> bool:
        """Ingest the parts of a batch; return False where they stay pending."""
        parts = [
            deliveries.DeliveryPart(
                queued.delivery,
                queued.part,
                last=len(queued.part) == len(queued.transactions),
                request_id=queued.request_id,
            )
            for queued in batch
        ]
        try:
            _, events = await asyncio.get_running_loop().run_in_executor(
                self._ingesting,
                lambda: deliveries.ingest_parts(self._engine, parts, program=self._program),
            )
        except (DBAPIError, PoolTimeout) as error:
            log.warning("%d deliveries stay pending: %s", len(batch), type(error).__name__)
            return False
        except Exception:
            # They are committed: the sender must not retry, the pipelines will.
            log.exception("%d deliveries could not be ingested", len(batch))
            return False
        for queued in batch:
            queued.events = events[queued.delivery]
        return True
