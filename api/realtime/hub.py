"""The hub of one process: it reads the stream in order and hands frames to its sockets.

The stream in Postgres is the only source; a message on Redis, or a call of ``wake``, only
says that there is something to read. Without either the hub looks every
``stream_poll_seconds``. So nothing is lost when Redis is away, and a client that comes
back with ``since`` is served from the table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

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

PAGE = 500
# A client that missed more than this reads the tables anew instead.
MAX_REPLAY = 500
LISTEN_SECONDS = 1.0
_LONGEST_PAUSE = 5.0


class Replay(msgspec.Struct, frozen=True):
    """Where a new subscription begins: the channel's head, and what the client missed.

    ``missed`` is None when the stream no longer holds all of it.
    """

    head: int
    missed: list[stream.StoredFrame] | None


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
        self._woken = asyncio.Event()
        self._position: int | None = None
        self._stopping = False
        self._news = asyncio.Event()
        self._newest = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep feeding until the block ends."""
        tasks = [asyncio.create_task(work()) for work in (self._feed, self._listen, self._publish)]
        try:
            yield
        finally:
            # The Redis client may swallow a cancellation while it reads.
            self._stopping = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look at the stream now."""
        self._woken.set()

    def announce(self, positions: Sequence[int]) -> None:
        """What this process just committed to the stream: tell our sockets, and the other
        processes through Redis. Never waits.
        """
        if positions:
            self._newest = max(self._newest, *positions)
            self._news.set()
            self.wake()

    async def follow(self, subscriber: Subscriber, channel: str, since: int | None) -> Replay:
        """Register for ``channel`` and find where to begin; frames are held until ``resume``.

        Registration comes first and the look into the table second, so that no frame
        falls between the two.
        """
        subscriber.follow(channel)
        self._subscribers[channel].add(subscriber)
        try:
            # The feed must not begin behind what is read here.
            await self._begin()
            return await self._database.read(lambda conn: _replay(conn, channel, since))
        except BaseException:
            self.leave(subscriber, channel)
            raise

    def leave(self, subscriber: Subscriber, channel: str) -> None:
        """End one subscription."""
        subscriber.leave(channel)
        followers = self._subscribers.get(channel)
        if followers is not None:
            followers.discard(subscriber)
            if not followers:
                del self._subscribers[channel]

    def forget(self, subscriber: Subscriber) -> None:
        """End all subscriptions of a socket that is gone."""
        for channel in [name for name, all_ in self._subscribers.items() if subscriber in all_]:
            self.leave(subscriber, channel)

    async def _feed(self) -> None:
        pause = 0.1
        while True:
            try:
                full = await self._read_on()
                pause = 0.1
            except (DBAPIError, PoolTimeout) as error:
                log.warning("the stream cannot be read: %s", type(error).__name__)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            if not full:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds):
                        await self._woken.wait()

    async def _begin(self) -> None:
        """Find where the feed begins: at the stream's head, once."""
        if self._position is None:
            head = await self._database.read(stream.head)
            if self._position is None:
                self._position = head

    async def _read_on(self) -> bool:
        """Deliver the next page; whether there is likely another one."""
        self._woken.clear()
        position = self._position
        if position is None:
            await self._begin()
            return True
        frames = await self._database.read(lambda conn: stream.read_after(conn, position, PAGE))
        for frame in frames:
            self._position = frame.position
            followers = self._subscribers.get(frame.channel)
            if followers:
                message = encode(frame)
                for subscriber in tuple(followers):
                    subscriber.deliver(frame.channel, frame.position, message)
        return len(frames) == PAGE

    async def _publish(self) -> None:
        """One announcement at a time; those that come meanwhile become one."""
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.to_thread(stream.announce, self._redis_url, [self._newest])

    async def _listen(self) -> None:
        pause = 0.2
        while not self._stopping:
            try:
                async with (
                    Redis.from_url(self._redis_url, socket_connect_timeout=2) as client,
                    client.pubsub() as channel,
                ):
                    await channel.subscribe(stream.REDIS_CHANNEL)
                    pause = 0.2
                    while not self._stopping:
                        if await channel.get_message(timeout=LISTEN_SECONDS) is not None:
                            self.wake()
            except (RedisError, OSError) as error:
                log.warning("redis is away (%s); the stream is polled", type(error).__name__)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, _LONGEST_PAUSE)


def _replay(conn: Connection, channel: str, since: int | None) -> Replay:
    head = stream.channel_head(conn, channel)
    if since is None or since >= head:
        return Replay(head, [])
    missed = stream.read_channel_after(conn, channel, since, MAX_REPLAY + 1)
    # The first frame names its predecessor: above ``since`` means that rows in between
    # are gone.
    if len(missed) > MAX_REPLAY or (missed and missed[0].previous > since):
        return Replay(head, None)
    return Replay(head, missed)
