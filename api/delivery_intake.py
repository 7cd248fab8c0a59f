"""How deliveries enter: committed as received, then ingested one after another, in order.

Receiving has threads of its own and the ledger one writer, so that deliveries neither wait
for each other's locks nor overtake each other, which would have their markets folded anew.
Small ones that wait are ingested together; a large one takes its turn in parts. The sender
is answered in time whatever happens: what is not ingested by then follows, or is taken up by
the pipelines from the table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.errors import unavailable
from api.realtime.hub import Hub
from zmart_pipelines.chain.helius_enhanced import parse_hints
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_helius
from zmart_pipelines.ledger.readers import deliveries
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine

log = logging.getLogger("api.delivery_intake")

T = TypeVar("T")

RECEIVING_THREADS: Final = 2
# Transactions ingested together, of one delivery or several.
BATCH: Final = 100
# Transactions that wait in memory for their turn; what comes then stays in the table.
MAX_WAITING: Final = 20_000


class Taken(msgspec.Struct, frozen=True):
    """A delivery that is stored. ``new_events`` were ingested so far, ``pending``: not all."""

    delivery: int
    transactions: int
    new_events: int
    pending: bool


class _Stored(msgspec.Struct, frozen=True):
    """A delivery's row and what it told. ``named``: without logs, and whether anything of it
    is to be read.
    """

    delivery: int
    number: int
    transactions: Sequence[RawTransaction] = ()
    named: bool | None = None


@dataclass
class _Waiting:
    """What is left of a delivery, and the part of it whose turn is next.

    ``first`` is answered when its first part is done. ``events`` is how many events the part
    brought that were new, None until it is ingested.
    """

    delivery: int
    transactions: Sequence[RawTransaction]
    part: Sequence[RawTransaction]
    first: asyncio.Future[Taken]
    events: int | None = None


class Intake:
    """The intake of one process. Run with ``async with intake.running()``."""

    def __init__(self, hub: Hub, settings: Settings) -> None:
        self._hub = hub
        self._program = settings.program
        self._part = settings.webhook_inline_transactions
        self._seconds = settings.webhook_answer_seconds
        self._engine = engine(
            Role.INGEST, settings.database_url.get_secret_value(), pool_size=RECEIVING_THREADS + 1
        )
        self._receiving = ThreadPoolExecutor(RECEIVING_THREADS, thread_name_prefix="receive")
        self._ingesting = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep ingesting until the block ends; what is left then stays pending."""
        work = asyncio.create_task(self._work())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            for threads in (self._receiving, self._ingesting):
                threads.shutdown(wait=True, cancel_futures=True)
            self._engine.dispose()

    async def take(self, body: bytes) -> Taken:
        """Store a delivery, and ingest it as far as time allows.

        :raises PayloadError: when the body is no delivery; nothing is stored.
        :raises ApiError: 503 when the database does not take it in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        try:
            # What has begun goes on behind a timeout; sent once more it is one more delivery
            # of the same transactions.
            async with asyncio.timeout_at(deadline):
                stored = await self._run(self._receiving, lambda: self._receive(body))
        except TimeoutError:
            raise unavailable("The database") from None
        told = Taken(stored.delivery, stored.number, 0, True)
        if stored.named is not None:
            return msgspec.structs.replace(told, pending=stored.named)
        if self._waiting + stored.number > MAX_WAITING:
            return told
        first: asyncio.Future[Taken] = loop.create_future()
        self._waiting += stored.number
        part = stored.transactions[: self._part]
        self._queue.put_nowait(_Waiting(stored.delivery, stored.transactions, part, first))
        done, _ = await asyncio.wait([first], timeout=max(0.0, deadline - loop.time()))
        return first.result() if done else told

    def _receive(self, body: bytes) -> _Stored:
        try:
            transactions = from_helius(body, self._program)
        except PayloadError:
            hints = parse_hints(body)
            if hints is None:
                raise
            with self._engine.begin() as conn:
                delivery, fresh = deliveries.store_hint_delivery(conn, body, hints)
            return _Stored(delivery, len(hints), named=fresh > 0)
        with self._engine.begin() as conn:
            delivery = deliveries.store_delivery(conn, body, transaction_count=len(transactions))
        return _Stored(delivery, len(transactions), transactions)

    async def _work(self) -> None:
        while True:
            turn = [await self._queue.get()]
            size = len(turn[0].part)
            # What came meanwhile goes along, so that a burst costs one commit, not many.
            while not self._queue.empty() and size < BATCH:
                turn.append(self._queue.get_nowait())
                size += len(turn[-1].part)
            self._waiting -= size
            if not await self._ingest(turn) and len(turn) > 1:
                # One of them may be to blame; the others need not wait for its repair.
                for waiting in turn:
                    await self._ingest([waiting])
            for waiting in turn:
                self._proceed(waiting)

    def _proceed(self, waiting: _Waiting) -> None:
        """Answer for the first part; put what is left at the end of the queue."""
        done = waiting.events is not None
        rest = waiting.transactions[len(waiting.part) :]
        if not waiting.first.done():
            waiting.first.set_result(
                Taken(
                    delivery=waiting.delivery,
                    transactions=len(waiting.transactions),
                    new_events=waiting.events or 0,
                    pending=not done or bool(rest),
                )
            )
        if not done:
            self._waiting -= len(rest)
        elif rest:
            part = rest[: self._part]
            self._queue.put_nowait(_Waiting(waiting.delivery, rest, part, waiting.first))

    async def _ingest(self, turn: Sequence[_Waiting]) -> bool:
        """Ingest the parts whose turn it is; False where they stay pending."""
        parts = [
            deliveries.DeliveryPart(
                one.delivery, one.part, last=len(one.part) == len(one.transactions)
            )
            for one in turn
        ]
        try:
            result, events = await self._run(
                self._ingesting,
                lambda: deliveries.ingest_parts(self._engine, parts, program=self._program),
            )
        except (DBAPIError, PoolTimeout) as error:
            log.warning("%d deliveries stay pending: %s", len(turn), type(error).__name__)
            return False
        except Exception:
            # They are committed: the sender must not send them again, the pipelines will try.
            log.exception("%d deliveries could not be ingested", len(turn))
            return False
        self._hub.announce(result.positions)
        for one in turn:
            one.events = events[one.delivery]
        return True

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)
