"""The newest frames of channels that clients read back, in the memory of one process. Pure.

Clients that reconnect together missed the same frames. The first of them has these read from the
table; the others are served from here, also later, because everything that is delivered is added.
Each frame names the one before it on its channel: where one is missing, all of the channel are
dropped, to be read again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Final, Generic, Protocol, TypeVar

FRAMES_OF_A_CHANNEL: Final = 1000
MAX_BYTES: Final = 64 * 1024 * 1024


class ChainedFrame(Protocol):
    """A frame with its place on its channel."""

    @property
    def position(self) -> int:
        """Its position in the stream."""

    @property
    def previous(self) -> int:
        """The position before it on the same channel (0: none)."""

    @property
    def size(self) -> int:
        """The bytes that it takes."""


K = TypeVar("K", bound=Hashable)
F = TypeVar("F", bound=ChainedFrame)
_position = attrgetter("position")


class _Run(Generic[F]):
    """All frames of a channel after ``floor`` and up to ``newest``."""

    def __init__(self, floor: int) -> None:
        self.floor = self.newest = floor
        self.frames: list[F] = []
        self.size = 0

    def append(self, frame: F) -> bool:
        """Append a frame that is not here yet; return False if one before it is missing."""
        if frame.position <= self.newest:
            return True
        if frame.previous > self.newest:
            return False
        self.frames.append(frame)
        self.newest = frame.position
        self.size += frame.size
        return True

    def shorten(self, most: int) -> None:
        """Drop the oldest frames until there are at most so many."""
        surplus = self.frames[: max(0, len(self.frames) - most)]
        if surplus:
            del self.frames[: len(surplus)]
            self.floor = surplus[-1].position
            self.size -= sum(frame.size for frame in surplus)


class RecentFrames(Generic[K, F]):
    """The newest frames of some channels, complete up to what was delivered.

    Those of the channels that were read back least recently are forgotten first.

    Attributes:
        size: The bytes that all of them take.
    """

    def __init__(
        self, frames_of_a_channel: int = FRAMES_OF_A_CHANNEL, max_bytes: int = MAX_BYTES
    ) -> None:
        self.size = 0
        self._most_frames = frames_of_a_channel
        self._most_bytes = max_bytes
        self._runs: OrderedDict[K, _Run[F]] = OrderedDict()
        # What is delivered during each reading of the table.
        self._delivered: dict[K, list[list[F]]] = {}

    def expect(self, channel: K) -> list[F]:
        """Return where what is delivered from now on is noted; call it before the table is read."""
        delivered: list[F] = []
        self._delivered.setdefault(channel, []).append(delivered)
        return delivered

    def keep(self, channel: K, frames: Sequence[F], delivered: list[F]) -> None:
        """Keep what was read, unless as much is kept already.

        Args:
            channel: Whose frames.
            frames: All from one up to the newest; none if it was not read.
            delivered: What ``expect`` returned.
        """
        readings = self._delivered[channel]
        readings[:] = [one for one in readings if one is not delivered]
        if not readings:
            del self._delivered[channel]
        run = self._runs.get(channel)
        if frames and (run is None or frames[0].previous < run.floor):
            self._forget(channel)
            self._runs[channel] = _Run(frames[0].previous)
            self._extend(channel, [*frames, *delivered])

    def add(self, channel: K, frame: F) -> None:
        """Add a frame that is delivered, if those of its channel are kept or expected."""
        for delivered in self._delivered.get(channel, ()):
            delivered.append(frame)
        self._extend(channel, (frame,))

    def wants(self, channel: K) -> bool:
        """Return whether a frame of the channel would be added."""
        return channel in self._runs or channel in self._delivered

    def head(self, channel: K) -> int | None:
        """Return the position of the newest frame that was delivered; None: it is not known."""
        run = self._runs.get(channel)
        return None if run is None else run.newest

    def after(self, channel: K, since: int, head: int) -> Sequence[F] | None:
        """Return the channel's frames after ``since`` and up to ``head``, oldest first.

        None: not all of them are here.
        """
        run = self._runs.get(channel)
        if run is None or since < run.floor or head > run.newest:
            return None
        self._runs.move_to_end(channel)
        first = bisect_right(run.frames, since, key=_position)
        return run.frames[first : bisect_right(run.frames, head, lo=first, key=_position)]

    def _extend(self, channel: K, frames: Iterable[F]) -> None:
        run = self._runs.get(channel)
        if run is None:
            return
        before = run.size
        is_whole = all(run.append(frame) for frame in frames)
        run.shorten(self._most_frames)
        self.size += run.size - before
        if not is_whole:
            self._forget(channel)
        while self.size > self._most_bytes:
            self._forget(next(iter(self._runs)))

    def _forget(self, channel: K) -> None:
        run = self._runs.pop(channel, None)
        if run is not None:
            self.size -= run.size
