"""How current the tables are, for the headers of every answer that is read from them.

``Zmart-As-Of-Slot`` is the last slot of the confirmed poll: every transaction of the program up to
it is in the tables (webhooks add later ones sooner, without a promise that none is missing).
``Zmart-Lag-Slots`` is how many slots the chain's confirmed tip, as last seen, is ahead of it.

One reading serves the whole process. It is made in the background, so that no request waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.background import in_background
from api.shared_reading import SharedReading
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries.health import confirmed_slot

log = logging.getLogger("api.freshness")

HeaderList = list[tuple[bytes, bytes]]

READ_SECONDS: Final = 1.0
# The chain is asked as often while answers are given, and otherwise only so often: providers
# count calls.
IDLE_TIP_SECONDS: Final = 15.0
# An older reading is no longer stated.
MAX_AGE_SECONDS: Final = 30.0
_RPC_SECONDS: Final = 2.0
_DEADLINE_SECONDS: Final = 10.0


class Freshness:
    """The reading of one process. Run with ``async with freshness.running()``."""

    def __init__(self, settings: Settings) -> None:
        self._engine = engine(Role.READ, settings, pool_size=1, statement_timeout=_RPC_SECONDS)
        self._rpc = connect(
            settings,
            timeout=min(settings.rpc_timeout, _RPC_SECONDS),
            attempts=1,
            patience=0.5,
        )
        self._reading = SharedReading(self._read, fresh=0.0, deadline=_DEADLINE_SECONDS)
        self._headers: HeaderList = []
        self._asked = True
        self._slot: int | None = None
        self._slot_at = float("-inf")
        self._tip: int | None = None
        self._tip_at = float("-inf")

    @property
    def headers(self) -> HeaderList:
        """The headers of an answer that is given now; none where nothing is known."""
        self._asked = True
        return self._headers

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read every second until the block ends."""
        async with in_background(self._run, "freshness"):
            yield

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await self._reading.get()
            self._headers = self._state(time.monotonic())
            await asyncio.sleep(READ_SECONDS)

    def _read(self) -> None:
        """Read the table, then the chain where it is due; what fails keeps its last value."""
        try:
            with self._engine.connect() as conn:
                self._slot = confirmed_slot(conn.execution_options(isolation_level="AUTOCOMMIT"))
            self._slot_at = time.monotonic()
        except (DBAPIError, PoolTimeout) as error:
            log.debug("the confirmed slot cannot be read: %s", type(error).__name__)
        asked, self._asked = self._asked, False
        if not asked and time.monotonic() - self._tip_at < IDLE_TIP_SECONDS:
            return
        try:
            self._tip = self._rpc.slot("confirmed")
            self._tip_at = time.monotonic()
        except (RpcUnavailable, RpcError, RateLimited) as error:
            log.debug("the chain's tip cannot be read: %s", type(error).__name__)

    def _state(self, now: float) -> HeaderList:
        if self._slot is None or now - self._slot_at > MAX_AGE_SECONDS:
            return []
        headers = [(b"zmart-as-of-slot", b"%d" % self._slot)]
        if self._tip is not None and now - self._tip_at <= MAX_AGE_SECONDS:
            headers.append((b"zmart-lag-slots", b"%d" % max(0, self._tip - self._slot)))
        return headers

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._rpc.close()
        self._engine.dispose()
