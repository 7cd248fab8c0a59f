"""What clients missed: from memory where all of it is there, from the table otherwise.

What many clients missed on a channel is read and encoded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from api.database import Database
from api.hot_reads.shared_flights import SharedFlights
from api.realtime.channels import Channel
from api.realtime.merging import EncodedFrame, encoded, first_of, following, sources_of
from api.realtime.outgoing import Outgoing
from api.realtime.recent_frames import RecentFrames
from zmart_pipelines.store import stream_sources
from zmart_pipelines.store.stream import StoredFrame
from zmart_pipelines.store.stream_sources import Source

# More than a client is sent (``MAX_REPLAY``), because more arrive while it reads.
MAX_READ: Final = 1000


class MissedFrames:
    """The recent frames of the channels of one process."""

    def __init__(self, database: Database, seconds: float) -> None:
        """Let a client wait so many seconds for a reading."""
        self._database = database
        self._recent = RecentFrames[Channel, EncodedFrame]()
        self._channels: dict[Source, Channel] = {}
        self._readings = SharedFlights[list[EncodedFrame]](seconds)

    def add(self, frame: StoredFrame, messages: Mapping[Channel, Outgoing]) -> None:
        """Add a frame that is delivered, to the channels whose recent frames are kept.

        Args:
            frame: As stored.
            messages: What it was encoded to for channels with subscribers.
        """
        for source in (Source(frame.channel), Source(frame.channel, frame.type)):
            channel = self._channels.get(source)
            if channel is None:
                continue
            message = messages.get(channel)
            self._recent.add(
                channel,
                encoded(channel, source, frame)
                if message is None
                else EncodedFrame(frame.position, source.previous(frame), message),
            )

    def has_frames(self, channel: Channel) -> bool:
        """Return whether frames of the channel are in memory."""
        return self._recent.head(channel) is not None

    def heads(self, channels: Sequence[Channel], since: int, most: int) -> Mapping[str, int] | None:
        """Return the newest position of each channel, up to which frames were delivered.

        None: they are not known, or not all of the frames after ``since`` are in memory, or more
        than ``most``.
        """
        heads: dict[str, int] = {}
        for channel in channels:
            # Nothing is kept of a conflated channel.
            head = self._recent.head(channel)
            frames = None if head is None else self._recent.after(channel, since, head)
            if head is None or frames is None:
                return None
            heads[channel.name] = head
            most -= len(frames)
        return heads if most >= 0 and since <= max(heads.values(), default=0) else None

    async def next(
        self, channels: Sequence[Channel], since: int, heads: Mapping[str, int], limit: int
    ) -> list[Outgoing] | None:
        """Return the next messages of ``channels`` in the order of their positions.

        Args:
            channels: Those that are conflated have none.
            since: The position after which to begin.
            heads: The last position of each channel to return, by its name.
            limit: About how many at most: those of one position are not separated.

        Returns:
            None where some of them are no longer stored.
        """
        parts = []
        for channel in channels:
            part = await self._of(channel, since, heads[channel.name])
            if part is None:
                return None
            parts.append(part)
        return first_of(parts, limit)

    async def _of(self, channel: Channel, since: int, head: int) -> Sequence[EncodedFrame] | None:
        if head <= since or channel.is_conflated:
            return []
        frames = self._recent.after(channel, since, head)
        if frames is None:
            read = await self._readings.get(
                (channel, since), lambda _deadline: self._read(channel, since)
            )
            frames = following(read, since, head)
        return frames

    async def _read(self, channel: Channel, since: int) -> list[EncodedFrame]:
        """Read a channel's frames after ``since``, and keep them."""
        (source,) = sources_of([channel])

        def read(conn: Connection) -> list[EncodedFrame]:
            # Encoded here, in the thread, so that other sockets do not wait for it.
            found = stream_sources.read(conn, [source], since, limit=MAX_READ)
            return [encoded(channel, source, frame) for frame in found]

        frames: list[EncodedFrame] = []
        self._channels[source] = channel
        delivered = self._recent.expect(channel)
        try:
            frames = await self._database.read(read)
        finally:
            # As many as that may not be all.
            self._recent.keep(channel, frames if len(frames) < MAX_READ else [], delivered)
            self._forget_channels()
        return frames

    def _forget_channels(self) -> None:
        kept = self._channels.items()
        self._channels = {source: one for source, one in kept if self._recent.wants(one)}
