"""Turns of the event loop for work that thousands of clients may cause at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

# What requests wait for at most, each time that the loop comes to them.
SECONDS: Final = 0.004


class Turns:
    """Bounds how long the works that share it keep the event loop busy without a pause.

    They call ``give_way`` between small pieces. Whoever finds the time of the turn used up waits
    until everything else that was ready has run; all who wait go on one after the other, in the
    order in which they came, a turn at a time.
    """

    def __init__(
        self, seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Let a turn last so many seconds."""
        self._seconds = seconds
        self._clock = clock
        self._began = clock()
        self._queue = asyncio.Lock()

    async def give_way(self) -> None:
        """Go on in this turn if there is time left in it, otherwise in a later one."""
        if not self._queue.locked() and self._clock() - self._began < self._seconds:
            return
        # The lock passes from one to the next by way of the event loop.
        async with self._queue:
            if self._clock() - self._began >= self._seconds:
                await asyncio.sleep(0)
                self._began = self._clock()
