"""Connections for single statements on the event loop: no threads, no transaction blocks.

A statement of its own is a snapshot of its own, in one round trip. It waits for a connection and
its answer at most ``API_DATABASE_SECONDS`` together. Postgres cancels a statement after the same
time; a connection on which nothing is answered by then is dropped, so that a frozen server keeps
none.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import asyncpg

from api.database import DatabaseBusy
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.async_connections import OpenConnection, open_connection
from zmart_pipelines.store.engine import Role, login_url

Row: TypeAlias = Any
"""A row of asyncpg: values by position and by name."""


_OPEN: Final[weakref.WeakSet[StatementPool]] = weakref.WeakSet()


def open_statement_pools() -> list[StatementPool]:
    """Return the pools of this process that are not closed."""
    return list(_OPEN)


class StatementPool:
    """At most ``size`` connections of one role, opened as they are needed."""

    def __init__(
        self,
        role: Role,
        settings: Settings,
        *,
        size: int,
        seconds: float,
        read_only: bool,
        plan_once: bool,
    ) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            role: Whose login is used.
            settings: Have the login.
            size: Connections that are open at most.
            seconds: Time for a statement.
            read_only: See ``open_connection``.
            plan_once: See ``open_connection``.

        Raises:
            MissingLogin: The settings have no URL for the role.
        """
        login_url(role, settings)
        self.role = role
        self.size = size
        self._settings = settings
        self._seconds = seconds
        self._read_only = read_only
        self._plan_once = plan_once
        self._queue = settings.api_queue
        self._idle: list[OpenConnection] = []
        self._places = size  # for connections that are not open
        self._waiting: deque[asyncio.Future[OpenConnection | None]] = deque()
        self._closed = False
        _OPEN.add(self)

    @property
    def used(self) -> int:
        """Connections that run a statement or are being opened."""
        return self.size - self._places - len(self._idle)

    @property
    def waiting(self) -> int:
        """Statements that wait for a connection."""
        return len(self._waiting)

    def deadline(self) -> float:
        """Return by when a statement that begins now must be answered, in the loop's time."""
        return asyncio.get_running_loop().time() + self._seconds

    async def _attempt(
        self, text: str, arguments: Sequence[Any], deadline: float
    ) -> tuple[Sequence[Row], OpenConnection]:
        """Run one statement; return its rows, and the connection on which they were read."""
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
        return rows, connection

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
            return await open_connection(
                self.role,
                self._settings,
                seconds=max(0.001, deadline - asyncio.get_running_loop().time()),
                statement_timeout=self._seconds,
                read_only=self._read_only,
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
            raise DatabaseBusy("too many requests wait for a connection")
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
        """Give away what ``turn`` was given in the moment in which its statement gave up."""
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
        _OPEN.discard(self)
        self._drop_idle()
