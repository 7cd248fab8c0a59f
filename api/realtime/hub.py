"""The hub of one process: reads the stream in order and delivers its frames to the subscribers.

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
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.database import Database
from api.metrics import FRAMES_READ
from api.realtime import frame_traces, protocol
from api.realtime.channels import Channel
from api.realtime.conflation import Conflation
from api.realtime.delivery import Delivery
from api.realtime.heartbeats import Heartbeats
from api.realtime.locations import Locations
from api.realtime.missed_frames import MissedFrames
from api.realtime.outgoing import Outgoing
from api.realtime.signal import Signal
from api.realtime.start import Start
from api.realtime.starts import Starts
from api.realtime.subscriber import Subscriber
from api.realtime.subscribers import Subscribers
from api.realtime.turns import Turns
from zmart_pipelines import tracing
from zmart_pipelines.client_schemas.frames import PricesFrame, prices_frame
from zmart_pipelines.client_schemas.markets import ProjectedMarket
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream_sources import Source

log = logging.getLogger("api.realtime")

PAGE = 500
# Missed frames read at a time: the next are read once the client has taken these.
REPLAY_PAGE = 50
# Frames of so many bytes are delivered together.
BYTES_AT_ONCE = 64 * 1024
LISTEN_SECONDS = 1.0
_MIN_PAUSE = 0.1
_MAX_PAUSE = 5.0


class Hub:
    """Feeds every socket of this process. Run with ``async with hub.running()``."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._redis_url = settings.redis_url.get_secret_value()
        self._poll_seconds = settings.stream_poll_seconds
        self._subscribers = Subscribers()
        self._missed = MissedFrames(database, settings.api_database_seconds)
        self._starts = Starts(database, self._missed, settings.api_database_seconds)
        self._locations = Locations(database, self._missed, settings.api_database_seconds)
        self._turns = Turns()
        self.replay_turns = Turns()
        self._woken = asyncio.Event()
        self._position: int | None = None
        self._stopping = False
        self._unpublished = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._redis_pause = _MIN_PAUSE
        # How the states of conflated channels that are not stored are read, with their ``seq``.
        self.state_readers: dict[Channel, Callable[[], Awaitable[tuple[int, Any]]]] = {}
        self._prices: Conflation[Channel, stream.StoredFrame] = Conflation(
            1 / settings.ws_prices_per_second, self._deliver_prices, self._call_later
        )
        self._signal = Signal()
        # When the stream was last read.
        self.read_at: datetime | None = None
        self.heartbeats = Heartbeats(
            settings.ws_heartbeat_seconds, self._subscribers.heads, lambda: self.read_at
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver frames until the block ends."""
        self._loop = asyncio.get_running_loop()
        loops = (
            self._deliver_stream,
            self._listen_to_redis,
            self._publish_to_redis,
            self.heartbeats.run,
        )
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

    async def located(self, channel: Channel) -> Channel:
        """Return ``channel`` with its market's id where it was named by the market's address."""
        return await self._locations.located(channel)

    async def subscribe(
        self,
        subscriber: Subscriber,
        channels: Sequence[Channel],
        since: int | None,
        *,
        with_snapshots: bool = True,
    ) -> Start:
        """Subscribe to ``channels``; their frames are held until ``subscriber.resume``.

        The subscriptions are registered before the table is read, so that no frame is missed
        between the two.

        Args:
            subscriber: Who receives the frames.
            channels: Whose frames.
            since: The position up to which the client has all of them; None: it has none.
            with_snapshots: Whether to read the states of channels that do not continue.

        Returns:
            Where to begin.
        """
        for channel in channels:
            self._subscribers.add(subscriber, channel)
        try:
            # Delivery must not start after what is read here.
            await self._find_start()
            return await self.start(channels, since, with_snapshots=with_snapshots)
        except BaseException:
            for channel in channels:
                self.unsubscribe(subscriber, channel)
            raise

    async def start(
        self, channels: Sequence[Channel], since: int | None, *, with_snapshots: bool
    ) -> Start:
        """Return where subscriptions to ``channels`` begin, read in one snapshot."""
        start = await self._starts.get(channels, since, with_snapshots=with_snapshots)
        for channel in channels if with_snapshots else ():
            read = self.state_readers.get(channel)
            if read is not None:
                start = start.with_state(channel, since, *await read())
        return start

    async def missed(
        self, channels: Sequence[Channel], since: int, heads: Mapping[str, int]
    ) -> list[Outgoing] | None:
        """Return the next frames of ``channels`` after ``since``, each up to its head.

        They are in the order of their positions; ``missed`` after the last one's returns the next.
        None: some of them are no longer stored.
        """
        return await self._missed.next(channels, since, heads, REPLAY_PAGE)

    def unsubscribe(self, subscriber: Subscriber, channel: Channel) -> None:
        """End one subscription."""
        self._subscribers.remove(subscriber, channel)

    def unsubscribe_all(self, subscriber: Subscriber) -> None:
        """End all subscriptions of a closed socket."""
        self._subscribers.remove_all(subscriber)

    def channels_of(self, subscriber: Subscriber) -> Sequence[Channel]:
        """Return what a subscriber receives."""
        return self._subscribers.channels(subscriber)

    @property
    def position(self) -> int:
        """The position up to which everything was delivered (0: nothing yet)."""
        return self._position or 0

    async def signal_round_trip(self) -> float | None:
        """Return the seconds of a notification through Redis; None where none arrives."""
        return await self._signal.round_trip(lambda: stream.publish(self._redis_url))

    def has_subscribers(self, channel: Channel) -> bool:
        """Return whether anyone in this process receives ``channel``."""
        return bool(self._subscribers.of(channel))

    def deliver_state(self, channel: Channel, seq: int, data: Any) -> None:
        """Deliver the newest state of a conflated channel.

        Args:
            channel: A conflated one.
            seq: Greater than that of the state before.
            data: The whole state.
        """
        subscriptions = self._subscribers.subscriptions(channel)
        if subscriptions:
            message = protocol.state(channel, seq, data)
            for subscription in subscriptions:
                subscription.deliver(seq, message)

    def waiting_states(self, channels: Sequence[Channel]) -> Iterator[tuple[str, int, Outgoing]]:
        """Yield the newest prices that wait to be sent: channel, position and message.

        They may be older than the state with which a subscription of this moment began, which is
        read from the database.
        """
        for channel in channels:
            frame = self._prices.waiting(channel)
            if frame is not None:
                message = protocol.state(channel, frame.position, _prices_of(frame))
                yield channel.name, frame.position, message

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
        self.read_at = datetime.now(UTC)
        started = time.time_ns()
        part = Delivery()
        FRAMES_READ.inc(len(frames))
        for frame in frames:
            self._collect(frame, part)
            if part.size >= BYTES_AT_ONCE:
                await self._deliver(part, frame.position)
                part = Delivery()
        if frames:
            await self._deliver(part, frames[-1].position)
            if tracing.is_on():
                await frame_traces.record_delivery(
                    self._database, frames, started, self._clients_of
                )
        return len(frames) == PAGE

    def _clients_of(self, frame: stream.StoredFrame) -> int:
        sources = (Source(frame.channel), Source(frame.channel, frame.type))
        audiences = (self._subscribers.of_source(source) for source in sources)
        return sum(len(one.members) for found in audiences for one in found)

    async def _deliver(self, part: Delivery, position: int) -> None:
        await part.send(self._turns)
        self._position = position

    def _collect(self, frame: stream.StoredFrame, part: Delivery) -> None:
        """Add the messages of a frame on each of its channels."""
        messages: dict[Channel, Outgoing] = {}
        for source in (Source(frame.channel), Source(frame.channel, frame.type)):
            for audience in self._subscribers.of_source(source):
                if audience.channel.is_conflated:
                    self._prices.offer(audience.channel, frame)
                    continue
                message = protocol.frame(frame, audience.channel, source)
                messages[audience.channel] = message
                part.add(audience, frame.position, message)
        # Before it is sent: who subscribes meanwhile is sent it as missed.
        self._missed.add(frame, messages)

    def _deliver_prices(self, channel: Channel, frame: stream.StoredFrame) -> None:
        if self.has_subscribers(channel):
            self.deliver_state(channel, frame.position, _prices_of(frame))

    @staticmethod
    def _call_later(seconds: float, call: Callable[[Channel], None], channel: Channel) -> None:
        asyncio.get_running_loop().call_later(seconds, call, channel)

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
                message = await channel.get_message(timeout=LISTEN_SECONDS)
                if message is not None and message["type"] == "message":
                    self._signal.arrive()
                    self.wake()


def _prices_of(frame: stream.StoredFrame) -> PricesFrame:
    """Return what the frame of a market's state says about its prices."""
    return prices_frame(msgspec.convert(frame.payload["market"], ProjectedMarket))


async def _back_off(pause: float) -> float:
    """Sleep about ``pause`` seconds, with jitter, and return the next pause."""
    await asyncio.sleep(pause * random.uniform(0.5, 1.5))
    return min(pause * 2, _MAX_PAUSE)
