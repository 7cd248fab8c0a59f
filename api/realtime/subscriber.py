"""A connected client as the hub sees it: its subscriptions and its queue of messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from api.connections.socket_frames import FrameWriter
from api.realtime import protocol
from api.realtime.outgoing import Outgoing

MAX_QUEUE = 1000
# Messages of a queue that are written together.
AT_ONCE = 50
_ENDED: Final = 2**63


class Subscription:
    """The state of one channel of a client.

    Attributes:
        subscriber: The client.
        last: The position of the newest frame sent.
        held: Frames that arrived while missed frames are still being read, to be sent after
            them. None: frames are sent as they arrive.
    """

    __slots__ = ("held", "last", "subscriber")

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.last = 0
        self.held: list[tuple[int, Outgoing]] | None = []

    def deliver(self, position: int, message: Outgoing) -> None:
        """Send a frame, hold it, or drop it if the client already has it."""
        if self.held is not None:
            self.subscriber.hold(self.held, position, message)
        elif position > self.last:
            self.last = position
            self.subscriber.push(message)

    def accepts(self, position: int, message: Outgoing) -> bool:
        """Return whether the caller has to push a frame; one that must wait is held."""
        if self.held is not None:
            self.subscriber.hold(self.held, position, message)
            return False
        if position <= self.last:
            return False
        self.last = position
        return True

    def end(self) -> None:
        """Drop whatever is still delivered."""
        self.held, self.last = None, _ENDED


class Subscriber:
    """A bounded queue of messages in front of one client.

    Enqueuing never waits. What a writer takes at once is not queued, and the writer's owner calls
    ``flush`` when it takes more; without one, whoever sends the messages waits for ``next``. A
    client that leaves ``MAX_QUEUE`` messages or ``max_bytes`` unread overflows: nothing more is
    queued for it and its socket is closed with 4002; the client reconnects with ``since``. Live
    frames are the same objects in all queues.

    Attributes:
        channels: Its subscriptions by the names of their channels.
        has_overflowed: Whether it has left too much unread.
    """

    __slots__ = (
        "_bytes",
        "_drained",
        "_max_bytes",
        "_queue",
        "_wake",
        "_writer",
        "channels",
        "has_overflowed",
    )

    def __init__(self, max_bytes: int, writer: FrameWriter | None = None) -> None:
        """Start without subscriptions.

        Args:
            max_bytes: That may wait.
            writer: Of the client's socket; None: the messages are taken by ``next``.
        """
        self.channels: dict[str, Subscription] = {}
        self.has_overflowed = False
        self._max_bytes = max_bytes
        self._writer = writer
        self._bytes = 0
        self._queue: deque[Outgoing] = deque()
        # Made by the first who waits: thousands of sockets never do.
        self._drained: asyncio.Event | None = None
        self._wake: asyncio.Event | None = None

    def push(self, message: Outgoing) -> None:
        """Send or enqueue ``message``, or mark the client as overflowed."""
        if self.has_overflowed:
            return
        if self._writer is not None and not self._queue and self._writer.write(message.frame):
            return
        if not self._has_room(message):
            self._overflow()
            return
        self._bytes += len(message)
        self._queue.append(message)
        if self._wake is not None:
            self._wake.set()

    def push_all(self, messages: Sequence[Outgoing]) -> None:
        """Send or enqueue several messages, in fewer writes than one by one."""
        if self._queue or self.has_overflowed or not (messages and self._write_all(messages)):
            for message in messages:
                self.push(message)

    def _write_all(self, messages: Iterable[Outgoing]) -> bool:
        writer = self._writer
        return writer is not None and writer.write(b"".join([one.frame for one in messages]))

    def _has_room(self, message: Outgoing) -> bool:
        """Return whether ``message`` may wait; a single one may have any size."""
        if not self._bytes:
            return True
        return len(self._queue) < MAX_QUEUE and self._bytes + len(message) <= self._max_bytes

    def subscribe(self, channel: str) -> Subscription:
        """Hold the channel's frames from now on, until ``resume`` is called."""
        subscription = self.channels[channel] = Subscription(self)
        return subscription

    def resume(self, heads: Mapping[str, int]) -> None:
        """Send the held frames above each channel's position in ``heads``, in their order.

        After that frames of these channels are sent as they arrive.
        """
        held: list[tuple[int, str, Outgoing]] = []
        for channel, last in heads.items():
            subscription = self.channels.get(channel)
            if subscription is not None and subscription.held is not None:
                held += [(position, channel, message) for position, message in subscription.held]
                subscription.held, subscription.last = None, last
        self._bytes -= sum(len(message) for *_, message in held)
        for position, channel, message in sorted(held, key=lambda item: item[0]):
            self.deliver(channel, position, message)

    def unsubscribe(self, channel: str) -> None:
        """Stop sending frames of ``channel``."""
        subscription = self.channels.pop(channel, None)
        if subscription is not None:
            if subscription.held:
                self._bytes -= sum(len(message) for _, message in subscription.held)
            subscription.end()

    def deliver(self, channel: str, position: int, message: Outgoing) -> None:
        """Send a frame of ``channel``, hold it, or drop it if the client already has it."""
        subscription = self.channels.get(channel)
        if subscription is not None:
            subscription.deliver(position, message)

    def unsent(self, frames: Iterable[tuple[str, int, Outgoing]]) -> list[Outgoing]:
        """Return the frames that the client does not have yet; the caller sends them.

        Args:
            frames: Channel, position and message of each.
        """
        return [
            message
            for channel, position, message in frames
            if (subscription := self.channels.get(channel)) is not None
            and subscription.accepts(position, message)
        ]

    def hold(self, held: list[tuple[int, Outgoing]], position: int, message: Outgoing) -> None:
        """Append a frame to those that wait for missed ones, or mark the client as overflowed."""
        if self.has_overflowed:
            return
        if len(held) < MAX_QUEUE and self._has_room(message):
            # Counted until it is sent: ``resume`` takes it out again.
            self._bytes += len(message)
            held.append((position, message))
        else:
            self._overflow()

    def flush(self) -> None:
        """Send what is queued, as far as the client takes it."""
        while self._queue:
            messages = tuple(islice(self._queue, AT_ONCE))
            if not self._write_all(messages):
                break
            for _ in messages:
                self._take()

    async def next(self) -> Outgoing | None:
        """Return the next message to send; None once the client has overflowed."""
        while not self._queue:
            if self.has_overflowed:
                return None
            if self._wake is None:
                self._wake = asyncio.Event()
            self._wake.clear()
            await self._wake.wait()
        return self._take()

    def _take(self) -> Outgoing:
        message = self._queue.popleft()
        self._bytes -= len(message)
        if not self._queue and self._drained is not None:
            self._drained.set()
        return message

    async def take_all(self) -> list[Outgoing]:
        """Wait for messages and return all that are queued; none once the client has overflowed."""
        first = await self.next()
        if first is None:
            return []
        taken = [first]
        while self._queue:
            taken.append(self._take())
        return taken

    async def drained(self) -> None:
        """Wait until the client has taken everything that was enqueued, or has overflowed."""
        while self._queue:
            if self._drained is None:
                self._drained = asyncio.Event()
            self._drained.clear()
            await self._drained.wait()

    def _overflow(self) -> None:
        self.has_overflowed = True
        self.channels.clear()
        self._queue.clear()
        self._bytes = 0
        for waiting in (self._drained, self._wake):
            if waiting is not None:
                waiting.set()
        if self._writer is not None:
            self._writer.end(protocol.CLOSE_SLOW, protocol.SLOW_REASON)
