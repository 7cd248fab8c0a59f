"""Missed frames of several channels in one order. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from heapq import merge
from operator import attrgetter

import msgspec

from api.realtime import protocol
from api.realtime.channels import Channel
from api.realtime.outgoing import Outgoing
from zmart_pipelines.store.stream import StoredFrame
from zmart_pipelines.store.stream_sources import Source

_position = attrgetter("position")


class EncodedFrame(msgspec.Struct, frozen=True, gc=False):
    """A frame as the clients of one channel receive it.

    Attributes:
        previous: The position before it on that channel (0: none).
    """

    position: int
    previous: int
    message: Outgoing

    @property
    def size(self) -> int:
        """Return the bytes of the message."""
        return len(self.message)


def sources_of(channels: Iterable[Channel]) -> list[Source]:
    """Return where the frames come from that ``channels`` have to deliver without exception."""
    return [
        channel.source
        for channel in channels
        if channel.source is not None and not channel.is_conflated
    ]


def encoded(channel: Channel, source: Source, stored: StoredFrame) -> EncodedFrame:
    """Return a frame of the channel's ``source``, encoded for the channel."""
    message = protocol.frame(stored, channel, source)
    return EncodedFrame(stored.position, source.previous(stored), message)


def following(frames: Sequence[EncodedFrame], since: int, head: int) -> list[EncodedFrame] | None:
    """Return the frames of one channel after ``since`` and up to the one at ``head``.

    None where one of them is not among ``frames``, because it is no longer stored.
    """
    found = [frame for frame in frames if since < frame.position <= head]
    last = since
    for frame in found:
        if frame.previous > last:
            return None
        last = frame.position
    return found if last == head else None


def first_of(parts: Sequence[Sequence[EncodedFrame]], limit: int) -> list[Outgoing]:
    """Return the first messages of several channels, in the order of their positions.

    Args:
        parts: The frames of each channel, oldest first.
        limit: How many; more only to keep together those of one position.
    """
    frames = list(merge(*(part[:limit] for part in parts), key=_position))
    if len(frames) > limit:
        frames = frames[: bisect_right(frames, frames[limit - 1].position, key=_position)]
    return [frame.message for frame in frames]
