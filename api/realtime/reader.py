"""A client that names its channels once and then only reads: an event stream or a long poll."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from msgspec import UNSET

from api.realtime import acknowledgements, protocol
from api.realtime.access import is_private
from api.realtime.acknowledgements import Acknowledgement
from api.realtime.address_budget import AddressBudget
from api.realtime.channels import Channel
from api.realtime.feed import Feed
from api.realtime.hub import Hub
from api.realtime.outgoing import Outgoing, json_message
from api.realtime.start import Start
from api.realtime.subscriber import Subscriber

# Stands behind the last message.
_END: Final = json_message("end", b"")
_WAKE: Final = json_message("wake", b"")


class Batch(NamedTuple):
    """Messages that were taken together.

    Attributes:
        messages: In their order; there may be none.
        position: The position up to which all frames were taken, with these; None while missed
            frames are being sent.
    """

    messages: Sequence[Outgoing]
    position: int | None


class Reader:
    """What one request reads.

    Attributes:
        subscriber: Its queue.
        subscribing: Sends the answers and the missed frames; live frames follow once it is done.
    """

    def __init__(
        self, hub: Hub, channels: Sequence[Channel], since: int | None, subscriber: Subscriber
    ) -> None:
        self.subscriber = subscriber
        self.subscribing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hub = hub
        self._channels = channels
        self._since = since
        self._head = 0
        self._taken = 0
        self._has_ended = False

    def acknowledge(self, start: Start) -> None:
        """Push the answer for each channel: where it begins, with its state where that is read."""
        self._head = start.head
        names = [channel.name for channel in self._channels]
        for channel in self._channels:
            state = start.snapshots.get(channel.name, UNSET) if self._since is None else UNSET
            data = Acknowledgement(
                message=f"Subscribed to {channel.name}", subscriptions=names, snapshot=state
            )
            seq = start.heads[channel.name]
            self.subscriber.push(protocol.reply("subscribed", data, channel=channel, seq=seq))

    async def take(self) -> Batch | None:
        """Wait for messages, or for ``wake``, and return all that there are; None at the end.

        The end is that of ``end``, or that the client has left too much unread.
        """
        if self._has_ended:
            return None
        taken = await self.subscriber.take_all()
        if _END in taken:
            self._has_ended = True
            taken = taken[: taken.index(_END)]
        elif not taken:
            return None
        self._taken = max(self._taken, *(one.seq or 0 for one in taken), 0)
        return Batch([one for one in taken if one is not _WAKE], self._position())

    def _position(self) -> int | None:
        """Return the position up to which all frames are taken.

        A client is sent its frames of one reading of the stream together, and some clients before
        others: those that were taken may be ahead of the hub, which waits for all clients.
        """
        if not _has_succeeded(self.subscribing) or self.subscriber.has_overflowed:
            return None
        return max(self._head, self._hub.position, self._taken)

    def end_session(self) -> None:
        """End with a message for each private channel: the caller's session has ended."""
        for channel in self._channels:
            if is_private(channel):
                self.subscriber.push(acknowledgements.ended(channel, "session_ended"))
        self.end()

    @property
    def belongs_to_session(self) -> bool:
        """Whether it ends with the caller's session."""
        return any(is_private(channel) for channel in self._channels)

    def waiting_states(self) -> list[Outgoing]:
        """Return the states of conflated channels that belong to the last batch's position."""
        return self.subscriber.unsent(self._hub.waiting_states(self._channels))

    def wake(self) -> None:
        """Have ``take`` return, also where there is nothing."""
        self.subscriber.push(_WAKE)

    def end(self) -> None:
        """Have ``take`` return what is there, and then nothing."""
        self.subscriber.push(_END)


@contextlib.asynccontextmanager
async def reading(
    hub: Hub,
    channels: Sequence[Channel],
    since: int | None,
    *,
    budget: AddressBudget,
    max_bytes: int,
    repeats_states: bool = False,
) -> AsyncIterator[Reader]:
    """Subscribe to ``channels`` while the block runs.

    Args:
        hub: Delivers the frames.
        channels: That the caller may receive.
        since: The position up to which the client has all their frames; None: it has none.
        budget: Of the client's address.
        max_bytes: That may wait for the client.
        repeats_states: See ``Feed``.
    """
    subscriber = Subscriber(max_bytes)
    reader = Reader(hub, channels, since, subscriber)
    feed = Feed(hub, subscriber, budget, repeats_states=repeats_states)
    subscribing = asyncio.create_task(feed.subscribe(channels, since, reader.acknowledge))
    reader.subscribing = subscribing
    subscribing.add_done_callback(
        lambda done: reader.wake() if _has_succeeded(done) else reader.end()
    )
    try:
        yield reader
    finally:
        subscribing.cancel()
        await asyncio.gather(subscribing, return_exceptions=True)
        hub.unsubscribe_all(subscriber)


def _has_succeeded(task: asyncio.Future[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
