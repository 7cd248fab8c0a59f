"""Run the synchronous domain from asynchronous handlers: bounded threads, one engine per role.

Reads use the read-only role. Users' writes use the role under row-level security, with the
wallet that signed set in the transaction. Reads, writes, ballots and the stream of the sockets
have threads of their own; so have deliveries (``api.delivery_intake``).

A request waits ``api_database_seconds``. Postgres cancels a statement after the same time, and a
server that answers nothing loses its connection a second later, so that no thread hangs with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.bulkhead import Bulkhead
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role, act_as, act_as_operator, engine

T = TypeVar("T")

# Batches of ballots that may wait while one hangs.
_WAITING_BATCHES = 8


class DatabaseBusy(PoolTimeout):
    """Postgres does not answer in time, or too many requests wait for it.

    A write that was running may have taken effect or may still do so.
    """


class Database:
    """The engines and threads of one process; release them with ``close``."""

    def __init__(self, settings: Settings) -> None:
        seconds = settings.api_database_seconds

        def made(role: Role, threads: int) -> Engine:
            return engine(
                role,
                settings,
                pool_size=threads,
                max_overflow=0,
                pool_timeout=seconds,
                statement_timeout=seconds,
            )

        def bulkhead(name: str, threads: int, queue: int) -> Bulkhead:
            return Bulkhead(
                name,
                threads=threads,
                queue=queue,
                seconds=seconds,
                refusal=lambda: DatabaseBusy(f"no thread of {name} answered in time"),
            )

        # One connection more for the stream and the ballots, which have one thread each.
        self._read = made(Role.READ, settings.api_threads + 1)
        self._write = made(Role.API, settings.api_write_threads + 1)
        self._reads = bulkhead("reads", settings.api_threads, settings.api_queue)
        self._stream = bulkhead("stream", 1, 1)
        self._writes = bulkhead("writes", settings.api_write_threads, settings.api_queue)
        self._ballots = bulkhead("ballots", 1, _WAITING_BATCHES)

    def announce_commits(self, announce: Callable[[], None]) -> None:
        """Call ``announce``, in the committing thread, after each commit that appended frames."""
        stream.announce_commits(self._write, announce)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a read-only snapshot: all its statements see the same state.

        Raises:
            DatabaseBusy: There is no result in time.
        """
        return await self._reads.run(lambda: self._on_snapshot(work))

    async def read_stream(self, statement: Callable[[Connection], T]) -> T:
        """Run one statement, a reading one, in the thread of the sockets' stream.

        It is a transaction of its own, so that its answer is the only one to wait for.

        Raises:
            DatabaseBusy: There is no result in time.
        """

        def run() -> T:
            with self._read.connect() as conn:
                return statement(conn.execution_options(isolation_level="AUTOCOMMIT"))

        return await self._stream.run(run)

    def _on_snapshot(self, work: Callable[[Connection], T]) -> T:
        with self._read.connect() as conn:
            conn = conn.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            return work(conn)

    async def write(self, wallet: bytes | None, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction as ``wallet``; it is committed when this returns.

        Without a wallet it reaches no row that is a wallet's.

        Raises:
            DatabaseBusy: There is no answer in time; the transaction may be committed or not.
        """

        def run() -> T:
            with self._write.begin() as conn:
                act_as(conn, wallet)
                return work(conn)

        return await self._writes.run(run)

    async def write_as_operator(self, wallet: bytes | None, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction for an operator whom the caller has checked.

        It also reads what only operators may read; it is committed when this returns.

        Args:
            wallet: The operator's wallet; None for a service.
            work: Statements; at least one audit row among them, unless they only read.

        Raises:
            DatabaseBusy: There is no answer in time; the transaction may be committed or not.
        """

        def run() -> T:
            with self._write.begin() as conn:
                act_as_operator(conn, wallet)
                return work(conn)

        return await self._writes.run(run)

    async def cast(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the ballots of many wallets in one transaction, in the ballots' thread.

        It is committed when this returns. ``work`` itself names the wallets it acts for.

        Raises:
            DatabaseBusy: There is no answer in time; the transaction may be committed or not.
        """

        def run() -> T:
            with self._write.begin() as conn:
                return work(conn)

        return await self._ballots.run(run)

    def close(self) -> None:
        """Wait for running work, then close every connection."""
        for threads in (self._reads, self._stream, self._writes, self._ballots):
            threads.close()
        for pool in (self._read, self._write):
            pool.dispose()
