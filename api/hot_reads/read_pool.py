"""Connections for reads on the event loop: no threads, no transaction blocks, one statement each.

A statement of its own is a snapshot of its own, in one round trip. A read waits for a connection
and its answer at most ``API_DATABASE_SECONDS`` together. Postgres cancels a statement after the
same time; a connection on which nothing is answered by then is dropped, so that a frozen server
keeps none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from api.database import DatabaseBusy
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.async_connections import (
    OpenConnection,
    ServerIdentity,
    connect_for_reading,
)
from zmart_pipelines.store.engine import Role, login_url
from zmart_pipelines.store.outages import is_outage_of_asyncpg
from zmart_pipelines.store.queries import snapshots

Row: TypeAlias = Any
"""A row of asyncpg: values by position and by name."""

# What Postgres ended while it was idle says nothing about a read, which is tried once more.
_ATTEMPTS = 2
_DAY = 86_400


class ServerRun(NamedTuple):
    """A time in which the number of a transaction names one transaction.

    Attributes:
        server: Differs between databases, servers, and runs of a server.
        day: Much less than the time in which the numbers come round again.
    """

    server: int
    day: int


class Answer(NamedTuple):
    """The rows of a statement, and in which run of the server they were read."""

    rows: Sequence[Row]
    run: ServerRun


class ReadPool:
    """At most ``size`` connections of the reading role, opened as they are needed."""

    def __init__(
        self,
        settings: Settings,
        *,
        size: int,
        seconds: float | None = None,
        plan_once: bool = True,
    ) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            settings: Have the login of the reading role.
            size: Connections that are open at most.
            seconds: Time for a read; default ``API_DATABASE_SECONDS``.
            plan_once: See ``connect_for_reading``.

        Raises:
            MissingLogin: The settings have no URL for the reading role.
        """
        login_url(Role.READ, settings)
        self._settings = settings
        self._seconds = settings.api_database_seconds if seconds is None else seconds
        self._plan_once = plan_once
        self._queue = settings.api_queue
        self._idle: list[OpenConnection] = []
        self._places = size  # for connections that are not open
        self._waiting: deque[asyncio.Future[OpenConnection | None]] = deque()
        self._closed = False
        self._servers: dict[ServerIdentity, int] = {}

    def deadline(self) -> float:
        """Return by when a read that begins now must have its answer, in the loop's time."""
        return asyncio.get_running_loop().time() + self._seconds

    async def fetch(
        self, text: str, arguments: Sequence[Any] = (), *, deadline: float | None = None
    ) -> Answer:
        """Run one statement and return its rows.

        Raises:
            DatabaseBusy: Postgres is away or does not answer in time, or too many reads wait.
            asyncpg.PostgresError: The statement fails.
        """
        until = self.deadline() if deadline is None else deadline
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._attempt(text, arguments, until)
            except Exception as error:
                if not is_outage_of_asyncpg(error):
                    raise
                self._drop_idle()
                if attempt == _ATTEMPTS or asyncio.get_running_loop().time() >= until:
                    raise DatabaseBusy(
                        f"Postgres did not answer: {type(error).__name__}"
                    ) from error
        raise AssertionError

    async def snapshot(self, deadline: float) -> tuple[str, ServerRun]:
        """Return which commits a statement sees now: equal only where it sees the same rows.

        Args:
            deadline: As for ``fetch``.

        Raises:
            DatabaseBusy: As for ``fetch``.
        """
        rows, run = await self.fetch(snapshots.CURRENT.text, deadline=deadline)
        return rows[0][0], run

    async def _attempt(self, text: str, arguments: Sequence[Any], deadline: float) -> Answer:
        connection = await self._acquire(deadline)
        raw = connection.raw
        # Dropping the connection ends the wait for its answer.
        expiry = asyncio.get_running_loop().call_at(deadline, raw.terminate)
        try:
            rows = await raw.fetch(text, *arguments)
        except asyncpg.PostgresError:
            self._release(connection)
            raise
        except BaseException:
            raw.terminate()
            self._release(connection)
            raise
        finally:
            expiry.cancel()
        self._release(connection)
        day = int(asyncio.get_running_loop().time()) // _DAY
        return Answer(
            rows, ServerRun(self._servers.setdefault(connection.server, len(self._servers)), day)
        )

    async def _acquire(self, deadline: float) -> OpenConnection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.raw.is_closed():
                    return connection
                self._places += 1
            if self._places > 0:
                return await self._open(deadline)
            released = await self._wait(deadline)
            if released is not None:
                return released

    async def _open(self, deadline: float) -> OpenConnection:
        self._places -= 1
        try:
            return await connect_for_reading(
                Role.READ,
                self._settings,
                seconds=max(0.001, deadline - asyncio.get_running_loop().time()),
                statement_timeout=self._seconds,
                plan_once=self._plan_once,
            )
        except asyncpg.PostgresError as refusal:
            self._free_place()
            raise DatabaseBusy(f"Postgres refused: {type(refusal).__name__}") from refusal
        except BaseException:
            self._free_place()
            raise

    async def _wait(self, deadline: float) -> OpenConnection | None:
        """Wait for a connection; None stands for a place for a new one."""
        if len(self._waiting) >= self._queue:
            raise DatabaseBusy("too many reads wait for a connection")
        turn: asyncio.Future[OpenConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                return await turn
        except TimeoutError:
            self._pass_on(turn)
            raise DatabaseBusy("no connection became free in time") from None
        except BaseException:
            self._pass_on(turn)
            raise

    def _pass_on(self, turn: asyncio.Future[OpenConnection | None]) -> None:
        """Give away what ``turn`` was given in the moment in which its read gave up."""
        if not turn.done() or turn.cancelled():
            self._waiting = deque(one for one in self._waiting if one is not turn)
        elif (connection := turn.result()) is not None:
            self._release(connection)
        elif (following := self._next_turn()) is not None:
            following.set_result(None)

    def _release(self, connection: OpenConnection) -> None:
        if connection.raw.is_closed():
            self._free_place()
        elif self._closed:
            connection.raw.terminate()
            self._places += 1
        elif (turn := self._next_turn()) is not None:
            turn.set_result(connection)
        else:
            self._idle.append(connection)

    def _free_place(self) -> None:
        self._places += 1
        if (turn := self._next_turn()) is not None:
            turn.set_result(None)

    def _next_turn(self) -> asyncio.Future[OpenConnection | None] | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().raw.terminate()
            self._places += 1

    def close(self) -> None:
        """Close every connection; those in use when their statement ends."""
        self._closed = True
        self._drop_idle()
