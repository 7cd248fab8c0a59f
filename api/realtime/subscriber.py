"""A connected client as the hub sees it: its subscriptions and its queue of messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Protocol

import msgspec

from api.realtime.outgoing import Outgoing

MAX_QUEUE = 1000
# Messages of a queue that are written together.
AT_ONCE = 50


class Subscription(msgspec.Struct):
    """The state of one channel of a client.

    Attributes:
        last: The position of the newest frame sent.
        held: Frames that arrived while missed frames are still being read, to be sent after
            them. None: frames are sent as they arrive.
    """

    last: int
    held: list[tuple[int, Outgoing]] | None


class Outlet(Protocol):
    """A connection that takes messages at once as long as its client reads them."""

    def write(self, message: Outgoing) -> bool:
        """Send a message, and return True; False where the client must read first."""

    def write_all(self, messages: Sequence[Outgoing]) -> bool:
        """Do the same with several messages at once."""

    def close_slow(self) -> None:
        """Close the connection of a client that overflowed."""


class Subscriber:
    """A bounded queue of messages in front of one client.

    Enqueuing never waits. What an outlet takes at once is not queued, and the outlet's owner calls
    ``flush`` when it takes more; without one, whoever sends the messages waits for ``next``. A
    client that leaves ``MAX_QUEUE`` messages or ``max_bytes`` unread overflows: nothing more is
    queued for it and its socket is closed with 4002; the client reconnects with ``since``. Live
    frames are the same objects in all queues.
    """

    def __init__(self, max_bytes: int, outlet: Outlet | None = None) -> None:
        """Start without subscriptions; ``max_bytes`` may wait."""
        self.channels: dict[str, Subscription] = {}
        self._max_bytes = max_bytes
        self._outlet = outlet
        self._bytes = 0
        self._drained = asyncio.Event()
        self.overflowed = asyncio.Event()
        self._queue: deque[Outgoing] = deque()
        self._wake = asyncio.Event()

    def push(self, message: Outgoing) -> None:
        """Send or enqueue ``message``, or mark the client as overflowed."""
        if self.overflowed.is_set():
            return
        if not self._queue and self._outlet is not None and self._outlet.write(message):
            return
        if not self._has_room(message):
            self._overflow()
        else:
            self._bytes += len(message)
            self._queue.append(message)
            self._wake.set()

    def push_all(self, messages: Sequence[Outgoing]) -> None:
        """Send or enqueue several messages, in fewer writes than one by one."""
        outlet = None if self._queue or self.overflowed.is_set() else self._outlet
        if outlet is None or not outlet.write_all(messages):
            for message in messages:
                self.push(message)

    def _has_room(self, message: Outgoing) -> bool:
        """Return whether ``message`` may wait; a single one may have any size."""
        if not self._bytes:
            return True
        return len(self._queue) < MAX_QUEUE and self._bytes + len(message) <= self._max_bytes

    def subscribe(self, channel: str) -> None:
        """Hold the channel's frames from now on, until ``resume`` is called."""
        self.channels[channel] = Subscription(last=0, held=[])

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
        if subscription is not None and subscription.held:
            self._bytes -= sum(len(message) for _, message in subscription.held)

    def deliver(self, channel: str, position: int, message: Outgoing) -> None:
        """Send a frame of ``channel``, hold it, or drop it if the client already has it."""
        subscription = self.channels.get(channel)
        if subscription is None:
            return
        if subscription.held is None:
            if position > subscription.last:
                subscription.last = position
                self.push(message)
        elif len(subscription.held) < MAX_QUEUE and self._has_room(message):
            # Counted until it is sent: ``resume`` takes it out again.
            self._bytes += len(message)
            subscription.held.append((position, message))
        else:
            self._overflow()

    def flush(self) -> None:
        """Send what is queued, as far as the client takes it."""
        outlet = self._outlet
        while self._queue and outlet is not None:
            messages = tuple(islice(self._queue, AT_ONCE))
            if not outlet.write_all(messages):
                break
            for _ in messages:
                self._take()

    async def next(self) -> Outgoing | None:
        """Return the next message to send; None once the client has overflowed."""
        while not self._queue:
            if self.overflowed.is_set():
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._take()

    def _take(self) -> Outgoing:
        message = self._queue.popleft()
        self._bytes -= len(message)
        if not self._queue:
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
            self._drained.clear()
            await self._drained.wait()

    def _overflow(self) -> None:
        self.overflowed.set()
        self.channels.clear()
        self._queue.clear()
        self._bytes = 0
        self._drained.set()
        self._wake.set()
        if self._outlet is not None:
            self._outlet.close_slow()
