"""Which connections a process keeps, and how long each may take: pure bookkeeping.

Where every place is taken, the connection that has waited longest without a request gives its
place to the newcomer: first one that never completed the head of a request, then one that is idle
between two requests. Where all are busy, a newcomer gets one of a few extra places, in which only
health checks and webhooks are served; all other requests get a 503 with `Retry-After`.

``api.connections.guarded_protocols`` tells the guard what happens on each connection and closes
what it names.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Container, Iterable
from enum import Enum
from typing import Final, Protocol

import msgspec

from api.connections.client_address import address_key
from zmart_pipelines.settings import Settings

log = logging.getLogger("api.connections")

# Places for newcomers when all others are busy, and seconds to complete their request's head.
EXTRA_PLACES: Final = 32
EXTRA_HEAD_SECONDS: Final = 2.0
# WebSockets may take this part of the places, so that some are left for requests.
SOCKETS_SHARE: Final = 0.75
# Above this part of the places, responses end their connections.
CROWDED_SHARE: Final = 0.8
# Seconds for the last bytes to leave after the decision to close. With API_STALLED_SECONDS (5) and
# a second each until a deadline is seen, a client that does not read is dropped within ten.
CLOSING_SECONDS: Final = 3.0
_LOG_SECONDS: Final = 10.0


class Phase(Enum):
    """What a connection is doing."""

    HEAD = "waits for the rest of a request's head"
    BODY = "waits for the rest of a request's body"
    RESPONSE = "waits for the response"
    IDLE = "waits for the next request"
    SOCKET = "is a WebSocket"
    CLOSING = "is being closed"


class Guarded(Protocol):
    """What the guard does to a connection."""

    def expire(self, phase: Phase) -> None:
        """End the connection, whose deadline in ``phase`` has passed."""

    def expire_stalled(self) -> None:
        """End the connection, whose client does not read."""

    def abort(self) -> None:
        """Drop the connection at once."""


class Place:
    """One open connection.

    Attributes:
        is_extra: Whether only health checks and webhooks are served.
        deadline: Time at which the phase must have ended; None: no limit.
        stalled_until: Time at which the client must have read what was sent; None: it has.
    """

    __slots__ = (
        "address",
        "body_bytes",
        "connection",
        "deadline",
        "is_extra",
        "phase",
        "since",
        "stalled_until",
    )

    def __init__(self, connection: Guarded, address: str | None, *, is_extra: bool) -> None:
        self.connection = connection
        self.address = address
        self.is_extra = is_extra
        self.phase = Phase.HEAD
        self.since = 0.0
        self.body_bytes = 0
        self.deadline: float | None = None
        self.stalled_until: float | None = None


class Limits(msgspec.Struct, frozen=True):
    """How many connections are kept, and how long each may take (seconds)."""

    connections: int
    per_address: int
    head_seconds: float
    body_seconds: float
    body_bytes_per_second: int
    idle_seconds: float
    stalled_seconds: float

    @classmethod
    def of(cls, settings: Settings, connections: int) -> Limits:
        """Return the limits of the settings, with so many connections in all."""
        return cls(
            connections=connections,
            per_address=settings.api_connections_per_ip,
            head_seconds=settings.api_head_seconds,
            body_seconds=settings.api_body_seconds,
            body_bytes_per_second=settings.api_body_bytes_per_second,
            idle_seconds=settings.api_keep_alive_seconds,
            stalled_seconds=settings.api_stalled_seconds,
        )


class ConnectionGuard:
    """The connections of one process, on all its ports. Not for use by several threads."""

    def __init__(
        self,
        limits: Limits,
        proxies: Container[str] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without connections.

        Args:
            proxies: Addresses of trusted proxies, whose connections belong to many clients.
        """
        self.limits = limits
        self.is_draining = False
        self._regular = max(1, limits.connections - EXTRA_PLACES)
        self._proxies = proxies
        self._clock = clock
        self._places: set[Place] = set()
        self._by_address: defaultdict[str, set[Place]] = defaultdict(set)
        # In the order in which they began to wait.
        self._waiting: dict[Phase, OrderedDict[Place, None]] = {
            Phase.HEAD: OrderedDict(),
            Phase.IDLE: OrderedDict(),
        }
        self._extra: OrderedDict[Place, None] = OrderedDict()
        self._sockets = 0
        self._logged = float("-inf")

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._places)

    @property
    def ends_connections(self) -> bool:
        """Whether responses announce that their connection ends."""
        return self.is_draining or len(self._places) > self._regular * CROWDED_SHARE

    @property
    def has_idle(self) -> bool:
        """Whether a connection is between two requests."""
        return bool(self._waiting[Phase.IDLE])

    def admit(self, connection: Guarded, host: str) -> Place | None:
        """Return a place for a new connection; None where there is none."""
        address = None if host in self._proxies else address_key(host)
        is_extra = not self._has_room(address)
        if is_extra and not self._has_extra_room():
            return None
        place = Place(connection, address, is_extra=is_extra)
        self._places.add(place)
        if is_extra:
            self._extra[place] = None
        elif address is not None:
            self._by_address[address].add(place)
        self.enter(place, Phase.HEAD)
        return place

    def _has_room(self, address: str | None) -> bool:
        """Return whether a regular place is free, after taking one from a connection that waits."""
        mine = self._by_address.get(address, ()) if address is not None else ()
        if len(mine) >= self.limits.per_address:
            self._log(f"{address} has {len(mine)} connections")
            return self._reclaim(_longest_waiting(mine))
        if len(self._places) - len(self._extra) >= self._regular:
            self._log(f"{len(self._places)} connections are open")
            heads, idle = self._waiting[Phase.HEAD], self._waiting[Phase.IDLE]
            return self._reclaim(next(iter(heads), None) or next(iter(idle), None))
        return True

    def _has_extra_room(self) -> bool:
        if len(self._extra) < EXTRA_PLACES:
            return True
        return self._reclaim(next((one for one in self._extra if one.phase is Phase.HEAD), None))

    def _reclaim(self, place: Place | None) -> bool:
        if place is None:
            return False
        self.release(place)
        place.connection.abort()
        return True

    def enter(self, place: Place, phase: Phase) -> None:
        """Note that the connection enters ``phase``, and set its deadline."""
        self._leave_phase(place)
        now = self._clock()
        place.phase, place.since, place.body_bytes = phase, now, 0
        if phase in self._waiting and not place.is_extra and place in self._places:
            self._waiting[phase][place] = None
        if phase is Phase.SOCKET:
            self._sockets += 1
        seconds = self._seconds(place, phase)
        place.deadline = None if seconds is None else now + seconds

    def _seconds(self, place: Place, phase: Phase) -> float | None:
        if phase is Phase.HEAD:
            return EXTRA_HEAD_SECONDS if place.is_extra else self.limits.head_seconds
        if phase is Phase.BODY:
            return self.limits.body_seconds
        if phase is Phase.IDLE:
            return self.limits.idle_seconds
        if phase is Phase.SOCKET:
            return self.limits.head_seconds  # for the handshake
        return CLOSING_SECONDS if phase is Phase.CLOSING else None

    def _leave_phase(self, place: Place) -> None:
        if place.phase in self._waiting:
            self._waiting[place.phase].pop(place, None)
        elif place.phase is Phase.SOCKET:
            self._sockets -= 1

    def received_body(self, place: Place, size: int) -> None:
        """Note that so many bytes of a body arrived, which extend its deadline."""
        place.body_bytes += size
        earned = place.body_bytes / self.limits.body_bytes_per_second
        place.deadline = place.since + self.limits.body_seconds + earned

    def postpone(self, place: Place) -> None:
        """Give the connection another second: it waits for us, not for its client."""
        place.deadline = self._clock() + 1.0

    def stalls(self, place: Place) -> None:
        """Note that the client has left too much of what was sent to it unread."""
        place.stalled_until = self._clock() + self.limits.stalled_seconds

    def can_open_socket(self, place: Place) -> bool:
        """Return whether the connection may become a WebSocket."""
        return not place.is_extra and self._sockets < self._regular * SOCKETS_SHARE

    def release(self, place: Place) -> None:
        """Forget the connection; more than once is harmless."""
        if place not in self._places:
            return
        self._places.discard(place)
        self._leave_phase(place)
        place.phase = Phase.CLOSING
        self._extra.pop(place, None)
        if place.address is not None and not place.is_extra:
            mine = self._by_address[place.address]
            mine.discard(place)
            if not mine:
                del self._by_address[place.address]

    def expire(self) -> None:
        """End every connection whose deadline has passed; to be called each second."""
        now = self._clock()
        for place in tuple(self._places):
            if place.stalled_until is not None and place.stalled_until <= now:
                place.stalled_until = None
                place.connection.expire_stalled()
            elif place.deadline is not None and place.deadline <= now:
                place.deadline = None
                place.connection.expire(place.phase)

    def _log(self, reason: str) -> None:
        now = self._clock()
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            log.warning("connections are refused or replaced: %s", reason)


def _longest_waiting(places: Iterable[Place]) -> Place | None:
    for phase in (Phase.HEAD, Phase.IDLE):
        waiting = [place for place in places if place.phase is phase]
        if waiting:
            return min(waiting, key=lambda place: place.since)
    return None
