"""Missed frames of several channels in one order. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from api.realtime import protocol
from api.realtime.channels import Channel
from api.realtime.outgoing import Outgoing
from zmart_pipelines.store.stream import StoredFrame
from zmart_pipelines.store.stream_sources import Source


def sources_of(channels: Iterable[Channel]) -> list[Source]:
    """Return where the frames come from that ``channels`` have to deliver without exception."""
    return [
        channel.source
        for channel in channels
        if channel.source is not None and not channel.is_conflated
    ]


def merged(
    channels: Sequence[Channel], stored: Sequence[StoredFrame], since: int
) -> list[Outgoing] | None:
    """Return the messages of ``channels`` for the frames of their sources, in their order.

    A frame that belongs to several channels has a message for each of them.

    Args:
        channels: Whose messages.
        stored: The frames of their sources that follow ``since``, oldest first.
        since: The position up to which the client has everything.

    Returns:
        None where a frame that a channel had before one of these is no longer stored.
    """
    receivers: dict[Source, list[Channel]] = defaultdict(list)
    for channel in channels:
        for source in sources_of([channel]):
            receivers[source].append(channel)
    last = dict.fromkeys(receivers, since)
    messages: list[Outgoing] = []
    for frame in stored:
        for source in (Source(frame.channel), Source(frame.channel, frame.type)):
            if source not in receivers:
                continue
            if source.previous(frame) > last[source]:
                return None
            last[source] = frame.position
            messages += [protocol.frame(frame, one, source) for one in receivers[source]]
    return messages
