"""Bounded threads for work that blocks on one dependency.

Every dependency has threads and a queue of its own: what hangs on one (a frozen chain node, a
slow pin store) cannot hold the threads that another one's requests need. A full queue and a
passed deadline are answered at once, so that a dependency that hangs costs neither memory nor
patience.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from api.metrics import BULKHEAD_PLACES, BULKHEAD_REFUSALS, BULKHEAD_TAKEN

T = TypeVar("T")


class Bulkhead:
    """The threads and the queue in front of one dependency; release them with ``close``."""

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        queue: int,
        seconds: float,
        refusal: Callable[[], Exception],
    ) -> None:
        """Create the threads as they are needed.

        Args:
            name: Name of the threads.
            queue: Work that may wait for a thread.
            seconds: How long a caller waits for its result.
            refusal: Makes the exception for a full queue and for a passed deadline.
        """
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = threading.BoundedSemaphore(threads + queue)
        self._seconds = seconds
        self._refusal = refusal
        self._current = threading.local()
        self._name = name
        self._taken = BULKHEAD_TAKEN.labels(name)
        self._size = threads + queue
        BULKHEAD_PLACES.labels(name).inc(self._size)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return its result.

        Work whose caller has left is skipped if it still waits; if it runs, it ends by itself
        and keeps its thread and its place until then.

        Raises:
            Exception: The refusal: the queue is full, or the result did not come in time.
        """
        if not self._places.acquire(blocking=False):
            BULKHEAD_REFUSALS.labels(self._name, "full").inc()
            raise self._refusal()
        self._taken.inc()
        abandoned = threading.Event()

        def run_unless_abandoned() -> T | None:
            try:
                if abandoned.is_set():
                    return None
                self._current.abandoned = abandoned
                return work()
            finally:
                self._taken.dec()
                self._places.release()

        result = asyncio.wrap_future(self._threads.submit(run_unless_abandoned))
        try:
            done, _ = await asyncio.wait({result}, timeout=self._seconds)
        finally:
            if not result.done():
                abandoned.set()
                result.add_done_callback(_discard)
        if not done:
            BULKHEAD_REFUSALS.labels(self._name, "late").inc()
            raise self._refusal()
        # None is the result of abandoned work alone.
        return cast(T, result.result())

    def continue_only_if_awaited(self) -> None:
        """Raise the refusal if no request waits any more for the work of the calling thread.

        Work that asks its dependency several times calls this before each time.
        """
        abandoned: threading.Event | None = getattr(self._current, "abandoned", None)
        if abandoned is not None and abandoned.is_set():
            raise self._refusal()

    def close(self) -> None:
        """Drop what waits and wait for what runs."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        BULKHEAD_PLACES.labels(self._name).dec(self._size)


def _discard(result: asyncio.Future[T | None]) -> None:
    """Take an exception that no request waits for, which asyncio would report."""
    if not result.cancelled():
        result.exception()
