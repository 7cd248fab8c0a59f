"""Health of the live updates of one process, by what its hub has delivered."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from api.database import Database, DatabaseBusy
from api.hot_reads.shared_flights import SharedFlights
from api.realtime.hub import Hub
from zmart_pipelines.monitoring.work_health import State, judge, worst
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store import stream

# Seconds after which frames that are not delivered, or a stream that is not read, are a fault.
DELAY: Final = Threshold(5, 30)
_SIGNAL_SECONDS: Final = 3.0


class HubMeasurement(msgspec.Struct, frozen=True):
    """What the hub of a process does.

    Attributes:
        state: The worst of its parts.
        sockets: Open sockets of this process.
        read_at: When the stream was last read; None: never.
        read_seconds: How long ago that is, or how long the process has tried.
        position: Up to which every frame was delivered.
        head: Newest position of the stream; None where Postgres does not answer.
        undelivered_seconds: For how long a frame has waited for its delivery; 0: none waits.
        signal_seconds: How long a notification took through Redis; None: none arrived, so that
            the stream is polled.
    """

    state: State
    sockets: int
    read_at: datetime | None
    read_seconds: float
    position: int
    head: int | None
    undelivered_seconds: float
    signal_seconds: float | None


class HubHealth:
    """Measures one hub when asked."""

    def __init__(self, hub: Hub, database: Database, settings: Settings) -> None:
        self._hub = hub
        self._database = database
        self._poll_seconds = settings.stream_poll_seconds
        self._started_at = datetime.now(UTC)
        self._trips = SharedFlights[float | None](_SIGNAL_SECONDS)
        # The oldest head that was seen and is not delivered yet, and when it was seen.
        self._owed: tuple[int, float] | None = None

    async def measure(self) -> HubMeasurement:
        """Read the stream's head and send a notification through Redis."""
        head = await self._head()
        undelivered = self._undelivered(head)
        signal = await self._trips.get("signal", self._round_trip)
        read_at = self._hub.read_at
        read_seconds = (datetime.now(UTC) - (read_at or self._started_at)).total_seconds()
        # A hub without a signal reads once per poll.
        state = worst(
            (
                judge(max(0.0, read_seconds - self._poll_seconds), DELAY),
                judge(undelivered, DELAY),
                "ok" if signal is not None else "degraded",
                "ok" if read_at is not None else "starting",
            )
        )
        return HubMeasurement(
            state=state,
            sockets=self._hub.heartbeats.connected,
            read_at=read_at,
            read_seconds=round(read_seconds, 1),
            position=self._hub.position,
            head=head,
            undelivered_seconds=round(undelivered, 1),
            signal_seconds=None if signal is None else round(signal, 4),
        )

    async def _head(self) -> int | None:
        try:
            return await self._database.read(stream.head)
        except DatabaseBusy:
            return None

    def _undelivered(self, head: int | None) -> float:
        now = time.monotonic()
        if self._owed is not None and self._hub.position >= self._owed[0]:
            self._owed = None
        if self._owed is None and head is not None and head > self._hub.position:
            self._owed = (head, now)
        return 0.0 if self._owed is None else now - self._owed[1]

    async def _round_trip(self, _deadline: float) -> float | None:
        return await self._hub.signal_round_trip()
