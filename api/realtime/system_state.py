"""The state of the system: how far the ledger is behind, breakers and kill switches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.background import in_background
from api.breaker_states import BreakerState, breaker_states
from api.chain import Chain
from api.database import Database
from api.errors import ApiError, unavailable
from api.health_watch import HealthWatch
from api.kill_switches import KillSwitchList, kill_switches
from api.realtime import channels
from api.realtime.hub import Hub
from zmart_pipelines.health.measure import ServiceHealth
from zmart_pipelines.monitoring import work_health
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.breakers import breaker_statuses

log = logging.getLogger("api.realtime")

READ_SECONDS: Final = 1.0
_LEDGER: Final = "event-indexer"


class Lag(msgspec.Struct, frozen=True):
    """How far the ledger is behind the chain; null where that cannot be measured.

    Seconds count since it last read, slots up to where the chain stood when it was last asked.
    """

    confirmed_seconds: int | None
    confirmed_slots: int | None
    finalized_seconds: int | None
    finalized_slots: int | None


class SystemState(msgspec.Struct, frozen=True):
    """The state of the system, as `/health/breakers` and `/api/submissions/switches` show it."""

    lag: Lag
    breakers: list[BreakerState]
    switches: KillSwitchList


class SystemFeed:
    """Reads the state for one process, at most once a second, and delivers what has changed."""

    def __init__(
        self,
        hub: Hub,
        health_watch: HealthWatch,
        database: Database,
        chain: Chain,
        settings: Settings,
    ) -> None:
        self._hub = hub
        self._health_watch = health_watch
        self._database = database
        self._chain = chain
        self._settings = settings
        self._delivered: SystemState | None = None

    async def read(self) -> tuple[int, SystemState]:
        """Return when the state was read, in milliseconds since the epoch, and the state.

        Raises:
            ApiError: 503 where Postgres does not answer in time.
        """
        read_at = time.time_ns() // 1_000_000
        try:
            services = await self._health_watch.services.get()
        except TimeoutError:
            raise unavailable("The database") from None
        stored, switches = await self._database.read(
            lambda conn: (breaker_statuses(conn), kill_switches(conn, self._settings))
        )
        breakers = breaker_states(stored, self._chain.guard.breakers())
        return read_at, SystemState(_lag(services[_LEDGER]), breakers, switches)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver the state to subscribers until the block ends."""
        self._hub.state_readers[channels.SYSTEM] = self.read
        async with in_background(self._run, "system feed"):
            yield

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(READ_SECONDS)
            if self._hub.has_subscribers(channels.SYSTEM):
                try:
                    await self._deliver()
                except (DBAPIError, PoolTimeout, ApiError) as error:
                    log.warning("the system could not be read: %s", type(error).__name__)

    async def _deliver(self) -> None:
        read_at, state = await self.read()
        if state != self._delivered:
            self._delivered = state
            self._hub.deliver_state(channels.SYSTEM, read_at, state)


def _lag(ledger: ServiceHealth) -> Lag:
    values = {one.name: one.value for one in ledger.quantities}

    def whole(quantity: work_health.Quantity) -> int | None:
        value = values.get(quantity.name)
        return None if value is None else int(value)

    return Lag(
        confirmed_seconds=whole(work_health.CONFIRMED_LAG),
        confirmed_slots=whole(work_health.CONFIRMED_SLOTS),
        finalized_seconds=whole(work_health.FINALIZED_LAG),
        finalized_slots=whole(work_health.FINALIZED_SLOTS),
    )
