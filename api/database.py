"""Run the synchronous domain from asynchronous handlers: bounded threads, one engine per role.

Reads use the read-only role. Users' writes use the role under row-level security, with the
wallet that signed set in the transaction. Deliveries have their own engine and threads
(``api.delivery_intake``), so that a flood of them does not slow the reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role, act_as, engine

T = TypeVar("T")

READ_SECONDS = 10.0


class Database:
    """The engines and threads of one process; release them with ``close``."""

    def __init__(self, settings: Settings) -> None:
        url = settings.database_url.get_secret_value()
        size = settings.api_threads
        self._read = engine(Role.READ, url, pool_size=size, statement_timeout=READ_SECONDS)
        self._write = engine(Role.API, url, pool_size=size + 1)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="database")
        self._ballot_thread = ThreadPoolExecutor(1, thread_name_prefix="ballots")

    def announce_commits(self, announce: Callable[[], None]) -> None:
        """Call ``announce``, in the committing thread, after each commit that appended frames."""
        stream.announce_commits(self._write, announce)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a read-only snapshot: all its statements see the same state."""

        def run() -> T:
            with self._read.connect() as conn:
                conn = conn.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                return work(conn)

        return await self._run(self._threads, run)

    async def write(self, wallet: bytes, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction as ``wallet``; it is committed when this returns."""

        def run() -> T:
            with self._write.begin() as conn:
                act_as(conn, wallet)
                return work(conn)

        return await self._run(self._threads, run)

    async def cast(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the ballots of many wallets in one transaction, in the ballots' thread.

        It is committed when this returns. ``work`` itself names the wallets it acts for.
        """

        def run() -> T:
            with self._write.begin() as conn:
                return work(conn)

        return await self._run(self._ballot_thread, run)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run ``work``, which blocks on something other than Postgres, in one of the threads."""
        return await self._run(self._threads, work)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def close(self) -> None:
        """Wait for running work, then close every connection."""
        for threads in (self._threads, self._ballot_thread):
            threads.shutdown(wait=True, cancel_futures=True)
        for pool in (self._read, self._write):
            pool.dispose()
