"""A script in Redis, called on one connection without waiting for the answer of the call before.

Where Redis does not answer, a call has no reply; the connection is made again in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, cast

import hiredis
from redis.connection import SSLConnection, parse_url

from api.background import in_background

log = logging.getLogger("api.redis")

CONNECT_SECONDS: Final = 2.0
_MIN_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 2.0

# redis-py has no annotations here.
_parse_url: Callable[[str], dict[str, Any]] = parse_url


class _Connection(asyncio.Protocol):
    """A connection to Redis on which replies come in the order of the commands."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[Callable[[Any], None]] = deque()
        self._transport: asyncio.Transport | None = None
        self.closed = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        waiting, self._waiting = self._waiting, deque()
        for reply in waiting:
            reply(ConnectionError("the connection was lost"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._waiting.popleft()(reply)
        except (hiredis.ProtocolError, IndexError):
            self.abort()

    def send(self, reply: Callable[[Any], None], *words: bytes | str | int) -> None:
        """Send a command; ``reply`` is called with its reply or with an exception."""
        if self._transport is None or self._transport.is_closing():
            reply(ConnectionError("the connection is closed"))
            return
        self._waiting.append(reply)
        # The annotation of pack_command means tuples of a single word.
        self._transport.write(hiredis.pack_command(cast(Any, words)))

    async def ask(self, *words: bytes | str | int) -> Any:
        """Send a command and return its reply; raise where it is an error."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def reply(value: Any) -> None:
            if answered.done():
                return
            if isinstance(value, Exception):
                answered.set_exception(value)
            else:
                answered.set_result(value)

        self.send(reply, *words)
        return await answered

    def abort(self) -> None:
        """Drop the connection; what waits is answered with an exception."""
        if self._transport is not None:
            self._transport.abort()


class RedisScript:
    """A script on one Redis. Run with ``async with script.running()``."""

    def __init__(
        self,
        url: str,
        script: bytes,
        counted: str,
        *,
        when_connected: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare the calls.

        Args:
            url: Of the Redis.
            script: In Lua.
            counted: What it counts, for the log.
            when_connected: Called at each new connection, before which data may have been lost.
        """
        self._url = url
        self._script = script
        self._sha = hashlib.sha1(script, usedforsecurity=False).hexdigest()
        self._counted = counted
        self._when_connected = when_connected
        self._connection: _Connection | None = None
        self._was_tried = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether calls are sent to Redis at the moment."""
        return self._connection is not None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep a connection until the block ends."""
        async with in_background(self._keep_connected, f"connection for {self._counted}"):
            # So that the first calls reach Redis too, where it answers.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._was_tried.wait()
            yield

    def call(
        self,
        keys: Sequence[str],
        arguments: Sequence[str | int],
        answer: Callable[[list[Any] | None], None],
        *,
        seconds: float,
    ) -> None:
        """Run the script, which returns a list.

        ``answer`` is called with it within ``seconds``; with None where there is none, which is at
        once where there is no connection.
        """
        connection = self._connection
        if connection is None:
            answer(None)
            return
        deadline = asyncio.get_running_loop().call_later(seconds, self._drop, connection)

        def reply(value: Any) -> None:
            deadline.cancel()
            if isinstance(value, list):
                answer(value)
                return
            # NOSCRIPT, READONLY, LOADING and the like: connecting again loads the script.
            answer(None)
            self._drop(connection)

        connection.send(reply, "EVALSHA", self._sha, len(keys), *keys, *arguments)

    def _drop(self, connection: _Connection) -> None:
        """Use the connection no more; what waits on it has no answer."""
        if self._connection is connection:
            self._connection = None
        connection.abort()

    async def _keep_connected(self) -> None:
        pause, was_away = _MIN_PAUSE, False
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await self._connect()
            except (OSError, TimeoutError, hiredis.HiredisError) as error:
                if not was_away:
                    log.warning(
                        "%s are counted per process: %s", self._counted, type(error).__name__
                    )
                was_away = True
                self._was_tried.set()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _MAX_PAUSE)
                continue
            if was_away:
                log.warning("%s are counted in Redis again", self._counted)
            pause, was_away = _MIN_PAUSE, False
            self._connection = connection
            self._when_connected()
            self._was_tried.set()
            try:
                await connection.closed
            finally:
                self._connection = None
                connection.abort()

    async def _connect(self) -> _Connection:
        """Return a connection that is logged in and has the script."""
        options = _parse_url(self._url)
        loop = asyncio.get_running_loop()
        if "path" in options:
            _, connection = await loop.create_unix_connection(_Connection, options["path"])
        else:
            secure = options.get("connection_class") is SSLConnection
            _, connection = await loop.create_connection(
                _Connection,
                options.get("host", "localhost"),
                options.get("port", 6379),
                ssl=ssl.create_default_context() if secure else None,
            )
        try:
            if password := options.get("password"):
                user = options.get("username")
                await connection.ask("AUTH", *((user, password) if user else (password,)))
            if database := options.get("db"):
                await connection.ask("SELECT", database)
            await connection.ask("SCRIPT", "LOAD", self._script)
        except BaseException:
            connection.abort()
            raise
        return connection
