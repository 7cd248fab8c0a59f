"""Sheds load where the event loop falls behind: searches first, then reads, then writes.

A request waits for the event loop before anything of ours sees it. Where that delay stands, every
kind of request becomes slow together, webhooks and health checks too. Those that cost most and are
needed least are then answered 503 at once, which costs a fraction of serving them; webhooks and
health checks are always served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from api.background import in_background
from api.error_codes import ErrorCode
from api.errors import RETRY_SECONDS, ApiError
from api.load_shedding.standing_delay import StandingDelay
from api.metrics import EVENT_LOOP_DELAY, SHED_REQUESTS

log = logging.getLogger("api.load_shedding")

MEASURE_SECONDS: Final = 0.1


class Kind(StrEnum):
    """What is shed together."""

    SEARCH = "searches"
    READ = "reads"
    WRITE = "writes"


# The multiple of the bound from which a kind is shed.
STEPS: Final[Mapping[Kind, int]] = MappingProxyType({Kind.SEARCH: 1, Kind.READ: 2, Kind.WRITE: 4})


class LoadShedding:
    """The delay of one process's event loop, and what it admits because of it."""

    def __init__(self, bound: float) -> None:
        """Shed from a standing delay of ``bound`` seconds; 0: never."""
        self._bound = bound
        self._delay = StandingDelay()
        self._shed: frozenset[Kind] = frozenset()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure until the block ends."""
        async with in_background(self._measure, "load shedding"):
            yield

    def require_room(self, kind: Kind) -> None:
        """Raise ApiError 503 where requests of this kind are shed."""
        if kind in self._shed:
            SHED_REQUESTS.labels(kind).inc()
            raise ApiError(
                503,
                f"The server is overloaded and answers no {kind} at the moment; retry after"
                f" {RETRY_SECONDS} s",
                code=ErrorCode.OVERLOADED,
                headers={"Retry-After": str(RETRY_SECONDS)},
            )

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + MEASURE_SECONDS
            await asyncio.sleep(MEASURE_SECONDS)
            self.note(max(0.0, loop.time() - due))

    def note(self, delay: float) -> None:
        """Take a measurement of the event loop's delay, in seconds."""
        EVENT_LOOP_DELAY.observe(delay)
        if not self._bound:
            return
        self._delay.add(delay)
        standing = self._delay.seconds
        shed = frozenset(kind for kind in Kind if standing >= STEPS[kind] * self._bound)
        if shed != self._shed:
            self._shed = shed
            names = ", ".join(kind for kind in Kind if kind in shed) or "nothing"
            log.warning("the event loop is %.2f s behind: %s is shed", standing, names)
