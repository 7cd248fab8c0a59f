"""Heartbeats: they tell each client how far its channels are, so that it notices a silent gap."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from msgspec import Struct

from api.realtime import protocol
from api.realtime.subscriber import Subscriber
from zmart_pipelines.client_schemas.formats import iso8601_or_none


class Heartbeat(Struct, frozen=True):
    """`data` of a `heartbeat` message.

    `heads` has the newest position of each subscribed channel: a client that has a lower one has
    missed a frame and subscribes again with `since`. A channel whose missed frames are still being
    sent is absent. `read_at` is when the stream was last read, null before that; while the database
    is away it stands still.
    """

    heads: Mapping[str, int]
    read_at: str | None


class Heartbeats:
    """Sends one to each client at an interval, counted from when it joined."""

    def __init__(
        self,
        interval: float,
        heads: Callable[[Subscriber], Mapping[str, int]],
        read_at: Callable[[], datetime | None],
    ) -> None:
        """Have no clients.

        Args:
            interval: Seconds.
            heads: Returns the newest position of each channel of a client.
            read_at: Returns when the stream was last read.
        """
        self._interval = interval
        self._heads = heads
        self._read_at = read_at
        # When the next is due; the interval is the same for all, so that the first is the next.
        self._due: OrderedDict[Subscriber, float] = OrderedDict()

    @contextlib.contextmanager
    def joined(self, subscriber: Subscriber) -> Iterator[None]:
        """Send heartbeats to ``subscriber`` while the block runs."""
        self._due[subscriber] = time.monotonic() + self._interval
        try:
            yield
        finally:
            del self._due[subscriber]

    @property
    def connected(self) -> int:
        """How many clients there are."""
        return len(self._due)

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            pause = self._send_due(time.monotonic())
            await asyncio.sleep(pause)

    def _send_due(self, now: float) -> float:
        """Send the heartbeats that are due and return the seconds until the next one is."""
        while self._due:
            subscriber, due = next(iter(self._due.items()))
            if due > now:
                return due - now
            self._due[subscriber] = due + self._interval
            self._due.move_to_end(subscriber)
            beat = Heartbeat(self._heads(subscriber), iso8601_or_none(self._read_at()))
            subscriber.push(protocol.reply("heartbeat", beat))
        return self._interval
