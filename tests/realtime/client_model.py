"""What a client of the realtime API knows, and what it must do next. Pure; for every transport.

A client applies a frame if ``prev`` is not above the position it has, and keeps the position of
what it applied. A frame whose ``prev`` is above, or a head in a heartbeat that is above, shows that
something is missing: the client subscribes again from its position. A subscription without a
position, and a ``reset``, begin anew with a snapshot.

Whatever a client has to repair on an unbroken connection is the server's fault and is counted.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import Enum, auto


class Step(Enum):
    """What to do after a message."""

    GO_ON = auto()
    SUBSCRIBE_AGAIN = auto()


@dataclass
class Faults:
    """What a server must never cause, over all clients.

    Attributes:
        doubled: Frames that a client had already.
        gaps: Frames that were not preceded by the one they name.
        silent_gaps: Heads above what was delivered before them.
    """

    doubled: int = 0
    gaps: int = 0
    silent_gaps: int = 0

    def __bool__(self) -> bool:
        return bool(self.doubled or self.gaps or self.silent_gaps)


@dataclass
class Stretch:
    """The frames applied since a snapshot.

    Attributes:
        start: The snapshot's position.
        snapshot: The state as of ``start`` as JSON, empty where there was none.
        positions: Of the frames applied after it.
    """

    start: int
    snapshot: bytes = b""
    positions: array[int] = field(default_factory=lambda: array("q"))


class StateView:
    """A conflated channel as a client sees it: only the newest state counts.

    Attributes:
        position: Of the newest state.
        states: All that were received, as JSON by their position.
    """

    def __init__(self, faults: Faults) -> None:
        self.states: dict[int, bytes] = {}
        self.position: int | None = None
        self._faults = faults
        self._waits = True
        self._owed = 0

    def subscribing(self) -> None:
        """Note that a subscription is requested."""
        self._waits = True

    def acknowledged(self, head: int, snapshot: bytes = b"") -> None:
        """Take the acknowledgement: the state at ``head`` is in it, or follows."""
        self._waits = False
        self._owed = head
        if self.position is None:
            self.reset(head, snapshot)

    def reset(self, head: int, snapshot: bytes = b"") -> None:
        """Take a snapshot."""
        self._waits = False
        self._owed = self.position = head
        if snapshot:
            self.states[head] = snapshot

    def state(self, position: int, content: bytes) -> Step:
        """Take a state; an older one than the newest must never come."""
        if self._waits or self.position is None:
            return Step.GO_ON
        if position < self.position:
            self._faults.doubled += 1
            return Step.GO_ON
        self.position = position
        self.states[position] = content
        return Step.GO_ON

    def head(self, position: int) -> Step:
        """Compare with the position of the newest state that was sent."""
        if self._waits or self.position is None or self.position < self._owed:
            return Step.GO_ON
        if position > self.position:
            self._faults.silent_gaps += 1
            return Step.SUBSCRIBE_AGAIN
        return Step.GO_ON


class ChannelView:
    """One channel as a client sees it, over all its connections."""

    def __init__(self, faults: Faults) -> None:
        self.stretches: list[Stretch] = []
        self.position: int | None = None
        self._faults = faults
        self._waits = True
        self._owed = 0

    def subscribing(self) -> None:
        """Note that a subscription is requested, from ``position`` where there is one."""
        self._waits = True

    def acknowledged(self, head: int, snapshot: bytes = b"") -> None:
        """Take the acknowledgement: the missed frames up to ``head`` follow it.

        Without a position of its own the client begins at ``head`` with the snapshot.
        """
        self._waits = False
        self._owed = head
        if self.position is None:
            self._begin(head, snapshot)

    def reset(self, head: int, snapshot: bytes = b"") -> None:
        """Give up what is missing, and begin at ``head`` with the snapshot."""
        self._waits = False
        self._owed = head
        self._begin(head, snapshot)

    def _begin(self, head: int, snapshot: bytes) -> None:
        self.stretches.append(Stretch(head, snapshot))
        self.position = head

    def frame(self, position: int, previous: int) -> Step:
        """Apply a frame, or find out that it cannot be applied."""
        if self._waits or self.position is None:
            # Sent before the server had read the subscription, which asks for it again.
            return Step.GO_ON
        if position <= self.position:
            self._faults.doubled += 1
            return Step.GO_ON
        if previous > self.position:
            self._faults.gaps += 1
            return Step.SUBSCRIBE_AGAIN
        self.stretches[-1].positions.append(position)
        self.position = position
        return Step.GO_ON

    def head(self, position: int) -> Step:
        """Compare with the channel's head, which everything up to it was sent before."""
        if self._waits or self.position is None or self.position < self._owed:
            # Missed frames are still on their way.
            return Step.GO_ON
        if position > self.position:
            self._faults.silent_gaps += 1
            return Step.SUBSCRIBE_AGAIN
        return Step.GO_ON
