"""Health of the pin store, by a file that is written and read and by the files that wait."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from api.database import Database
from api.shared_reading import SharedReading
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError
from zmart_pipelines.monitoring.work_health import State, judge, worst
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.queries import discussion_snapshots
from zmart_pipelines.store.queries.discussion_snapshots import PinFacts

log = logging.getLogger("api.pins")

# Seconds for which a file of a snapshot may wait for its pin: the schedule tries every hour.
WAITING: Final = Threshold(7_200, 86_400)
# Probes are shared for so long; each may take up to the deadline.
_FRESH_SECONDS: Final = 10.0
_DEADLINE_SECONDS: Final = 5.0


class Probe(msgspec.Struct, frozen=True):
    """A round trip: a file written to the local store, read and removed; the newest read back.

    Attributes:
        seconds: How long writing and reading took; None: it failed.
        error: Why.
        read_back_error: Why the newest pinned file cannot be read from where it was pinned.
    """

    seconds: float | None = None
    error: str | None = None
    read_back_error: str | None = None


class PinMeasurement(msgspec.Struct, frozen=True):
    """What the pin store does; ``waiting_seconds`` is the age of the oldest file that waits."""

    state: State
    store: str
    probe: Probe
    facts: PinFacts
    waiting_seconds: float


class PinHealth:
    """Measures the pin store of one process when asked."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._local = LocalPinStore(settings.zmart_state / "ipfs")
        self._store = configured_pin_store(settings)
        self._name = "local" if settings.pinata_jwt is None else "pinata"
        self._content = f"health probe of {settings.api_process_name}\n".encode()
        self._newest: str | None = None
        self._probes = SharedReading(self._probe, fresh=_FRESH_SECONDS, deadline=_DEADLINE_SECONDS)

    async def measure(self) -> PinMeasurement:
        """Read what waits, then make the round trip.

        Raises:
            DatabaseBusy: Postgres does not answer, so that nothing is known of what waits.
        """
        facts = await self._database.read(discussion_snapshots.pin_facts)
        self._newest = facts.newest_cid
        try:
            probe = await self._probes.get()
        except TimeoutError:
            probe = Probe(error=f"the pin store did not answer in {_DEADLINE_SECONDS:g} s")
        waiting = 0.0
        if facts.waiting_since is not None:
            waiting = (datetime.now(UTC) - facts.waiting_since).total_seconds()
        state = worst(
            (
                "down" if probe.seconds is None else "ok",
                "degraded" if probe.read_back_error is not None else "ok",
                judge(waiting, WAITING),
            )
        )
        return PinMeasurement(state, self._name, probe, facts, round(waiting, 1))

    def _probe(self) -> Probe:
        started = time.monotonic()
        try:
            cid = self._local.pin(self._content)
            self._local.get(cid)
            self._local.unpin(cid)
        except PinError as error:
            log.error("the pin store failed a round trip: %s", error)
            return Probe(error=str(error))
        seconds = round(time.monotonic() - started, 4)
        try:
            if self._newest is not None:
                self._store.fetch_back(self._newest)
        except PinError as error:
            log.warning("the newest pinned file cannot be read back: %s", error)
            return Probe(seconds, read_back_error=str(error))
        return Probe(seconds)
