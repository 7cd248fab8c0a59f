"""How deliveries enter: committed as received, then ingested one after another, in order.

Receiving has threads of its own and the ledger one writer, so that deliveries neither wait
for each other's locks nor overtake each other, which would have their markets folded anew.
A large delivery takes its turn in parts. The sender is answered in time whatever happens:
what is not ingested by then follows, or is taken up by the pipelines from the table.
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

from api.errors import unavailable
from api.realtime.hub import Hub
from zmart_pipelines.chain.enhanced import read_hints
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_helius
from zmart_pipelines.ledger import deliveries
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine

log = logging.getLogger("api.intake")

T = TypeVar("T")

RECEIVING_THREADS: Final = 2
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
    """What is left of a delivery; ``first`` is answered when its first part is done."""

    delivery: int
    transactions: Sequence[RawTransaction]
    first: asyncio.Future[Taken]


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
        self._queue.put_nowait(_Waiting(stored.delivery, stored.transactions, first))
        done, _ = await asyncio.wait([first], timeout=max(0.0, deadline - loop.time()))
        return first.result() if done else told

    def _receive(self, body: bytes) -> _Stored:
        try:
            transactions = from_helius(body, self._program)
        except PayloadError:
            hints = read_hints(body)
            if hints is None:
                raise
            with self._engine.begin() as conn:
                delivery, fresh = deliveries.receive_hints(conn, body, hints)
            return _Stored(delivery, len(hints), named=fresh > 0)
        with self._engine.begin() as conn:
            delivery = deliveries.receive(conn, body, transaction_count=len(transactions))
        return _Stored(delivery, len(transactions), transactions)

    async def _work(self) -> None:
        while True:
            waiting = await self._queue.get()
            part = waiting.transactions[: self._part]
            rest = waiting.transactions[self._part :]
            self._waiting -= len(part)
            events = await self._ingest(waiting.delivery, part, finish=not rest)
            if not waiting.first.done():
                waiting.first.set_result(
                    Taken(
                        delivery=waiting.delivery,
                        transactions=len(waiting.transactions),
                        new_events=events or 0,
                        pending=events is None or bool(rest),
                    )
                )
            if events is None:
                self._waiting -= len(rest)
            elif rest:
                self._queue.put_nowait(_Waiting(waiting.delivery, rest, waiting.first))

    async def _ingest(
        self, delivery: int, part: Sequence[RawTransaction], *, finish: bool
    ) -> int | None:
        """How many events were new; None where it failed, and the delivery stays pending."""
        try:
            result = await self._run(
                self._ingesting,
                lambda: deliveries.ingest_part(
                    self._engine, delivery, part, program=self._program, finish=finish
                ),
            )
        except DBAPIError as error:
            log.warning("delivery %d stays pending: %s", delivery, type(error.orig).__name__)
            return None
        except Exception:
            # It is committed: the sender must not send it again, the pipelines will try.
            log.exception("delivery %d could not be ingested", delivery)
            return None
        self._hub.announce(result.positions)
        return result.new_events

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)
