"""The API's view of health: what routes answer, and the alerts that are raised outside Dagster.

Dagster cannot report that it is dead. Each API process measures health every fifteen seconds and
writes what it has counted since, for the monitor. The one that takes the advisory lock raises and
clears the alerts of health, and sends messages about alerts to the receivers that it knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.background import in_background
from api.database import DatabaseBusy
from api.hot_reads.read_pool import ReadPool
from api.hot_reads.shared_flights import SharedFlights
from api.process_counts import ProcessCounts
from api.shared_reading import DEADLINE_SECONDS, SharedReading
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.health.chain_tips import ChainTips, read_tips_or_fault
from zmart_pipelines.health.health_alerts import update_health_alerts
from zmart_pipelines.health.measure import ServiceHealth, health
from zmart_pipelines.monitoring.alert_delivery import deliver
from zmart_pipelines.monitoring.alert_posters import posters
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import migrate, stream
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.locks import HEALTH_WATCH, try_lock
from zmart_pipelines.store.queries.api_counts import add_counts

log = logging.getLogger("api.health")

WATCH_SECONDS = 15.0
# Longer than any single step of a round may take; only a frozen part exceeds it.
ROUND_SECONDS = 60.0
RPC_SECONDS = 2.0
STATEMENT_SECONDS = 5.0


class HealthWatch:
    """Reads health for this process's routes and watches it; release with ``close``."""

    def __init__(self, settings: Settings, counts: ProcessCounts) -> None:
        self._settings = settings
        self._counts = counts
        self._reader = engine(Role.READ, settings, pool_size=3, statement_timeout=STATEMENT_SECONDS)
        self._writer = engine(Role.API, settings, pool_size=1, statement_timeout=STATEMENT_SECONDS)
        self._rpc = connect(
            settings,
            timeout=min(settings.rpc_timeout, RPC_SECONDS),
            attempts=1,
            patience=0.5,
        )
        self._tips: ChainTips | None = None
        self._posters = posters(settings)
        self._pings = ReadPool(settings, size=1, seconds=DEADLINE_SECONDS)
        self._schemas = SharedFlights[bool](DEADLINE_SECONDS)
        self.services = SharedReading(self._read_services)
        self._round = SharedReading(self._watch, fresh=0.0, deadline=ROUND_SECONDS)

    def announce_commits(self, announce: Callable[[], None]) -> None:
        """Call ``announce``, in the committing thread, after each commit that appended frames."""
        stream.announce_commits(self._writer, announce)

    async def migration_status(self) -> str:
        """Return `ok` or `behind`; `unknown` where Postgres does not answer within its deadline."""
        try:
            is_current = await self._schemas.get("schema", self._read_schema)
        except DatabaseBusy:
            return "unknown"
        return "ok" if is_current else "behind"

    async def _read_schema(self, deadline: float) -> bool:
        try:
            applied = await self._pings.fetch(migrate.APPLIED, deadline=deadline)
        except asyncpg.PostgresError:  # no such table, or the role may not read it yet
            return False
        return migrate.are_current(row[0] for row in applied.rows)

    def _read_services(self) -> dict[str, ServiceHealth]:
        with self._reader.connect() as conn:
            return self._health(
                conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            )

    def _health(self, conn: Connection) -> dict[str, ServiceHealth]:
        return health(conn, self._settings, tips=self._tips)

    def _watch(self) -> None:
        """Write this process's counts, update the alerts of health, send what is to be sent."""
        self._tips, fault = read_tips_or_fault(self._rpc)
        if fault is not None:
            log.warning("health is measured without the chain: %s", fault)
        with self._counts.uncommitted() as counts, self._writer.begin() as conn:
            add_counts(conn, self._settings.api_process_name, counts)
        with self._writer.begin() as conn:
            if not try_lock(conn, HEALTH_WATCH):
                return
            update_health_alerts(conn, self._health(conn).values(), self._settings)
        deliver(self._writer, self._settings, self._posters)

    async def watch_once(self) -> None:
        """Run one round; a failure is logged, and the next round tries again."""
        try:
            await self._round.get()
        except (DBAPIError, PoolTimeout, TimeoutError) as error:
            log.warning("health could not be watched: %s", type(error).__name__)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch until the context ends."""
        async with in_background(self._run, "health watch"):
            yield

    async def _run(self) -> None:
        while True:
            try:
                await self.watch_once()
            except Exception:
                log.exception("a round of the health watch failed")
            await asyncio.sleep(WATCH_SECONDS)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._rpc.close()
        self._pings.close()
        for pool in (self._reader, self._writer):
            pool.dispose()
