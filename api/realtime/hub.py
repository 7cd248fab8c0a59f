"""The hub of one process: reads the stream in order and delivers its frames to the sockets.

The stream in Postgres is the only source; a message on Redis, or a call of ``wake``, only
says that there is something to read. Without either the hub polls the stream every
``stream_poll_seconds``. So nothing is lost while Redis is down, and a client that reconnects
with ``since`` is served from the table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.database import Database
from api.realtime import protocol
from api.realtime.subscriber import Subscriber
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream

log = logging.getLogger("api.realtime")

K = TypeVar("K")
V = TypeVar("V")

PAGE = 500
# Missed frames read at a time: the next are read once the client has taken these.
REPLAY_PAGE = 50
# After so many bytes of frames the sockets get a chance to send what is queued.
BYTES_AT_ONCE = 64 * 1024
# A client that missed more frames than this is reset and reads the tables again.
MAX_REPLAY = 500
LISTEN_SECONDS = 1.0
_MIN_PAUSE = 0.1
_MAX_PAUSE = 5.0


class Replay(msgspec.Struct, frozen=True):
    """Where a new subscription begins.

    Attributes:
        head: The channel's newest position.
        is_complete: Whether the stream holds all frames after ``since``, and not too many.
    """

    head: int
    is_complete: bool


class MissedFrame(msgspec.Struct, frozen=True):
    """A frame of the past, encoded for the client."""

    position: int
    previous: int
    message: str


def encode(frame: stream.StoredFrame) -> str:
    """Return the message that clients receive for ``frame``."""
    return protocol.encode(
        protocol.Message(
            type=frame.type,
            timestamp=iso8601(frame.created_at),
            data=frame.payload,
            channel=frame.channel,
            market_id=protocol.channel_market(frame.channel),
            seq=frame.position,
            prev=frame.previous,
        )
    )


class Hub:
    """Feeds every socket of this process. Run with ``async with hub.running()``."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._redis_url = settings.redis_url.get_secret_value()
        self._poll_seconds = settings.stream_poll_seconds
        self._subscribers: dict[str, set[Subscriber]] = defaultdict(set)
        # A subscriber that overflowed has forgotten its own.
        self._channels: dict[Subscriber, set[str]] = defaultdict(set)
        self._woken = asyncio.Event()
        self._position: int | None = None
        self._stopping = False
        self._unpublished = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._redis_pause = _MIN_PAUSE

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver frames until the block ends."""
        self._loop = asyncio.get_running_loop()
        loops = (self._deliver_stream, self._listen_to_redis, self._publish_to_redis)
        tasks = [asyncio.create_task(loop()) for loop in loops]
        try:
            yield
        finally:
            # The Redis client may swallow a cancellation while it reads.
            self._stopping = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Read the stream now instead of at the next poll."""
        self._woken.set()

    def announce(self) -> None:
        """Deliver frames that this process committed, and notify other processes through Redis.

        Never waits; callable from any thread.
        """
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._deliver_and_publish)

    def _deliver_and_publish(self) -> None:
        self._unpublished.set()
        self.wake()

    async def subscribe(self, subscriber: Subscriber, channel: str, since: int | None) -> Replay:
        """Subscribe to ``channel`` and return where to begin; frames are held until ``resume``.

        The subscription is registered before the table is read, so that no frame is missed
        between the two.
        """
        subscriber.subscribe(channel)
        self._subscribers[channel].add(subscriber)
        self._channels[subscriber].add(channel)
        try:
            # Delivery must not start after what is read here.
            await self._find_start()
            return await self._database.read(lambda conn: _replay(conn, channel, since))
        except BaseException:
            self.unsubscribe(subscriber, channel)
            raise

    async def missed(self, channel: str, since: int, head: int) -> list[MissedFrame] | None:
        """Return the next frames of ``channel`` after ``since``, at most up to ``head``.

        None: some of them are no longer stored.
        """

        def read(conn: Connection) -> list[MissedFrame]:
            # Encoded here, in the thread, so that other sockets do not wait for it.
            return [
                MissedFrame(frame.position, frame.previous, encode(frame))
                for frame in stream.read_channel_after(conn, channel, since, REPLAY_PAGE)
                if frame.position <= head
            ]

        frames = await self._database.read(read)
        # The first frame names its predecessor: if that is above ``since``, rows in between
        # have been deleted.
        return frames if frames and frames[0].previous <= since else None

    def unsubscribe(self, subscriber: Subscriber, channel: str) -> None:
        """End one subscription."""
        subscriber.unsubscribe(channel)
        self._forget(subscriber, channel)

    def _forget(self, subscriber: Subscriber, channel: str) -> None:
        _discard(self._subscribers, channel, subscriber)
        _discard(self._channels, subscriber, channel)

    def unsubscribe_all(self, subscriber: Subscriber) -> None:
        """End all subscriptions of a closed socket."""
        for channel in tuple(self._channels.get(subscriber, ())):
            self.unsubscribe(subscriber, channel)

    async def _deliver_stream(self) -> None:
        pause = _MIN_PAUSE
        while True:
            try:
                full = await self._deliver_page()
            except (DBAPIError, PoolTimeout) as error:
                log.warning("cannot read the stream: %s", type(error).__name__)
                pause = await _back_off(pause)
                continue
            pause = _MIN_PAUSE
            if not full:
                await self._wait_for_wake()

    async def _wait_for_wake(self) -> None:
        """Wait until ``wake`` is called, at most ``stream_poll_seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                await self._woken.wait()

    async def _find_start(self) -> None:
        """Start delivery at the stream's head, once."""
        if self._position is None:
            head = await self._database.read(stream.head)
            if self._position is None:
                self._position = head

    async def _deliver_page(self) -> bool:
        """Deliver the next page and return whether there is likely another one."""
        self._woken.clear()
        position = self._position
        if position is None:
            await self._find_start()
            return True
        frames = await self._database.read_stream(
            lambda conn: stream.read_after(conn, position, PAGE)
        )
        size = 0
        for frame in frames:
            self._position = frame.position
            members = self._subscribers.get(frame.channel)
            if members:
                message = encode(frame)
                for subscriber in tuple(members):
                    subscriber.deliver(frame.channel, frame.position, message)
                size += len(message)
            if size >= BYTES_AT_ONCE:
                size = 0
                await asyncio.sleep(0)
        return len(frames) == PAGE

    async def _publish_to_redis(self) -> None:
        """Publish one notification at a time; those that arrive meanwhile are merged."""
        while True:
            await self._unpublished.wait()
            self._unpublished.clear()
            await asyncio.to_thread(stream.publish, self._redis_url)

    async def _listen_to_redis(self) -> None:
        while not self._stopping:
            try:
                async with Redis.from_url(self._redis_url, socket_connect_timeout=2) as client:
                    await self._receive_notifications(client)
            except (RedisError, OSError) as error:
                log.warning("redis is unavailable (%s); polling the stream", type(error).__name__)
            self._redis_pause = await _back_off(self._redis_pause)

    async def _receive_notifications(self, client: Redis) -> None:
        async with client.pubsub() as channel:
            await channel.subscribe(stream.REDIS_CHANNEL)
            self._redis_pause = _MIN_PAUSE
            while not self._stopping:
                if await channel.get_message(timeout=LISTEN_SECONDS) is not None:
                    self.wake()


async def _back_off(pause: float) -> float:
    """Sleep about ``pause`` seconds, with jitter, and return the next pause."""
    await asyncio.sleep(pause * random.uniform(0.5, 1.5))
    return min(pause * 2, _MAX_PAUSE)


def _replay(conn: Connection, channel: str, since: int | None) -> Replay:
    head = stream.channel_head(conn, channel)
    if since is None or since >= head:
        return Replay(head, True)
    missed = stream.count_channel_after(conn, channel, since, MAX_REPLAY + 1)
    return Replay(head, missed <= MAX_REPLAY)


def _discard(sets: dict[K, set[V]], key: K, value: V) -> None:
    """Remove ``value`` from the set of ``key``, and the set once it is empty."""
    members = sets.get(key)
    if members is not None:
        members.discard(value)
        if not members:
            del sets[key]
