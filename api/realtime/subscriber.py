"""One connected client as the hub sees it: what it follows, what still has to reach it."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

MAX_QUEUE = 1000
MAX_SUBSCRIPTIONS = 100


class Live(msgspec.Struct):
    """What a client has of one channel.

    ``last`` is the position of the newest frame sent. ``held`` collects frames that arrive
    while the channel's past is still being read: they follow after it. ``None`` means that
    frames go out as they come.
    """

    last: int
    held: list[tuple[int, str]] | None


class Subscriber:
    """A bounded queue in front of one socket.

    Putting something in never waits. A client that leaves ``MAX_QUEUE`` messages unread is
    given up: nothing more is queued for it and its socket closes with 4002, to come back
    with ``since``.
    """

    def __init__(self) -> None:
        self.channels: dict[str, Live] = {}
        self.given_up = asyncio.Event()
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()

    def push(self, message: str) -> None:
        """Queue ``message``, or give the client up."""
        if self.given_up.is_set():
            return
        if len(self._queue) >= MAX_QUEUE:
            self._give_up()
        else:
            self._queue.append(message)
            self._wake.set()

    def follow(self, channel: str) -> None:
        """Hold the channel's frames from now on, until ``resume`` says where to begin."""
        self.channels[channel] = Live(last=0, held=[])

    def resume(self, channel: str, last: int) -> None:
        """Send what was held above position ``last``, then frames as they come."""
        live = self.channels.get(channel)
        if live is None or live.held is None:
            return
        held, live.held, live.last = live.held, None, last
        for position, message in held:
            self.deliver(channel, position, message)

    def leave(self, channel: str) -> None:
        """Send no more frames of ``channel``."""
        self.channels.pop(channel, None)

    def deliver(self, channel: str, position: int, message: str) -> None:
        """A frame of ``channel``: send it, hold it, or drop it when the client has it."""
        live = self.channels.get(channel)
        if live is None:
            return
        if live.held is None:
            if position > live.last:
                live.last = position
                self.push(message)
        elif len(live.held) < MAX_QUEUE:
            live.held.append((position, message))
        else:
            self._give_up()

    async def next(self) -> str | None:
        """The next message to send; None when the client is given up."""
        while not self._queue:
            if self.given_up.is_set():
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    def _give_up(self) -> None:
        self.given_up.set()
        self.channels.clear()
        self._queue.clear()
        self._wake.set()
