"""The signal on Redis by which processes wake each other's hubs, measured by a round trip."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

ROUND_TRIP_SECONDS: Final = 1.0


class Signal:
    """Whether notifications reach this process."""

    def __init__(self) -> None:
        """Have received none."""
        self._arrived = asyncio.Event()

    def arrive(self) -> None:
        """Note a notification, whoever sent it."""
        self._arrived.set()

    async def round_trip(self, send: Callable[[], bool]) -> float | None:
        """Send a notification; return the seconds until one arrives, None where none does.

        Args:
            send: Publishes one, blocking; returns whether it was accepted.
        """
        self._arrived.clear()
        started = time.monotonic()
        if not await asyncio.to_thread(send):
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROUND_TRIP_SECONDS):
                await self._arrived.wait()
                return time.monotonic() - started
        return None
