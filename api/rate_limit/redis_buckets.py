"""Buckets in Redis: one script call for all requests of a turn of the event loop.

Requests that ask in the same turn are sent in one call on one connection, and calls are pipelined:
the next is sent without waiting for the answer of the one before. The script reads Redis's own
clock, so that processes on several machines agree.

Where Redis does not answer, a batch has no result and the caller decides in the process; the
connection is made again in the background.
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
from typing import Any, Final, NamedTuple, cast

import hiredis
from redis.connection import SSLConnection, parse_url

from api.background import in_background
from api.rate_limit.token_bucket import Quota

log = logging.getLogger("api.rate_limit")

ANSWER_SECONDS: Final = 0.25
CONNECT_SECONDS: Final = 2.0
_MIN_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 2.0

# Groups of buckets, one after the other; a request takes a token of every bucket of its group, or
# none. For each group: how many buckets, tokens wanted. For each of its buckets: limit, window in
# ms, and the least debt that the process knows of, so that a Redis that has lost its data goes on
# from there. Returns for each group: tokens granted, then the debt of each bucket.
# The arithmetic of api.rate_limit.token_bucket; '%.0f' keeps integers exact below 2^53.
SCRIPT: Final = b"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local results = {}
local first, argument = 0, 1
while argument < #ARGV do
    local count, granted = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
    argument = argument + 2
    local debts = {}
    for index = 1, count do
        local limit, window = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
        local debt = tonumber(ARGV[argument + 2])
        argument = argument + 3
        local stored = redis.call('GET', KEYS[first + index])
        local before, at
        if stored then
            before, at = string.match(stored, '^(%d+):(%d+)$')
        end
        if before then
            local owed = math.min(tonumber(before), limit * window)
            debt = math.max(debt, owed - math.max(0, now - tonumber(at)) * limit)
        end
        debts[index] = debt
        granted = math.min(granted, math.floor((limit * window - debt) / window))
    end
    results[#results + 1] = granted
    argument = argument - 3 * count
    for index = 1, count do
        local limit, window = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
        local debt = debts[index] + granted * window
        argument = argument + 3
        if debt > 0 then
            redis.call('SET', KEYS[first + index], string.format('%.0f:%.0f', debt, now),
                'PX', string.format('%.0f', math.ceil(debt / limit) + 1))
        end
        results[#results + 1] = debt
    end
    first = first + count
end
return results
"""
_SHA: Final = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()

# redis-py has no annotations here.
_parse_url: Callable[[str], dict[str, Any]] = parse_url


class Bucket(NamedTuple):
    """A bucket in a call: its key, its quota, and the least debt that it is known to have."""

    key: str
    quota: Quota
    least_debt: int


class Group(NamedTuple):
    """Requests that take a token of each of these buckets, or of none."""

    buckets: Sequence[Bucket]
    wanted: int


class Granted(NamedTuple):
    """How many requests of a group got their tokens, and the buckets' debts after that."""

    requests: int
    debts: Sequence[int]


# Receives the results in the order of the groups; None where Redis gave none.
Answer = Callable[[Sequence[Granted] | None], None]


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


class RedisBuckets:
    """The buckets of all processes. Run with ``async with buckets.running()``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: _Connection | None = None
        self._was_tried = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether calls are sent to Redis at the moment."""
        return self._connection is not None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep a connection until the block ends."""
        async with in_background(self._keep_connected, "rate limit connection"):
            # So that the first requests are counted in Redis too, where it answers.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._was_tried.wait()
            yield

    def take(self, groups: Sequence[Group], answer: Answer) -> None:
        """Ask for the tokens of all groups in one call.

        ``answer`` is called within ``ANSWER_SECONDS``, at once where there is no connection.
        """
        connection = self._connection
        if connection is None:
            answer(None)
            return
        deadline = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._drop, connection)

        def reply(value: Any) -> None:
            deadline.cancel()
            if isinstance(value, list):
                answer(_results(groups, value))
                return
            # NOSCRIPT, READONLY, LOADING and the like: connecting again loads the script.
            answer(None)
            self._drop(connection)

        keys: list[str] = []
        arguments: list[int] = []
        for buckets, wanted in groups:
            arguments += (len(buckets), wanted)
            for key, quota, least_debt in buckets:
                keys.append(key)
                arguments += (quota.limit, quota.window_ms, least_debt)
        connection.send(reply, "EVALSHA", _SHA, len(keys), *keys, *arguments)

    def _drop(self, connection: _Connection) -> None:
        """Use the connection no more; what waits on it is decided in the process."""
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
                    log.warning("limits are counted per process: %s", type(error).__name__)
                was_away = True
                self._was_tried.set()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _MAX_PAUSE)
                continue
            if was_away:
                log.warning("limits are counted in Redis again")
            pause, was_away = _MIN_PAUSE, False
            self._connection = connection
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
            await connection.ask("SCRIPT", "LOAD", SCRIPT)
        except BaseException:
            connection.abort()
            raise
        return connection


def _results(groups: Sequence[Group], values: Sequence[int]) -> list[Granted]:
    results, at = [], 0
    for group in groups:
        end = at + 1 + len(group.buckets)
        results.append(Granted(values[at], values[at + 1 : end]))
        at = end
    return results
