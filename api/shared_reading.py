"""One reading shared by all requests of a second, with a deadline that holds whatever hangs.

The reading runs in a thread of its own. A database that is frozen or whose packets are lost can
keep that thread for as long as it likes: requests are answered by the deadline, no further
reading is started meanwhile, and no process waits for the thread at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

FRESH_SECONDS = 1.0
DEADLINE_SECONDS = 1.5


class SharedReading(Generic[T]):
    """What ``read`` returned at most ``fresh`` seconds before; used from one event loop."""

    def __init__(
        self,
        read: Callable[[], T],
        *,
        fresh: float = FRESH_SECONDS,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        self._read = read
        self._fresh = fresh
        self._deadline = deadline
        self._started = float("-inf")
        self._reading: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """Return the current reading.

        Raises:
            TimeoutError: It takes longer than the deadline.
            Exception: What the reading raised.
        """
        now = time.monotonic()
        reading = self._reading
        if reading is None or (reading.done() and now - self._started >= self._fresh):
            self._started = now
            reading = self._reading = _in_daemon_thread(self._read)
        if reading.done():
            return reading.result()
        left = max(0.0, self._started + self._deadline - now)
        done, _ = await asyncio.wait({reading}, timeout=left)
        if not done:
            raise TimeoutError
        return reading.result()


def _in_daemon_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run ``work`` in a thread that does not keep the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:
            _settle(loop, future.set_exception, error)
        else:
            _settle(loop, future.set_result, value)

    threading.Thread(target=run, name="health", daemon=True).start()
    # Retrieve the exception of a reading that no request awaits, which asyncio would log.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _settle(loop: asyncio.AbstractEventLoop, settle: Callable[[T], None], value: T) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(settle, value)
