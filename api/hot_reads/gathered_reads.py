"""Single rows for many requests in one statement.

While a reading runs, requests gather, because the running one may have seen the database before
they arrived; the next reading is of all that they ask for. So each answer is as fresh as one of a
statement of its own, and the number of statements does not grow with that of requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_KEYS: Final = 200
ReadMany: TypeAlias = Callable[[Sequence[K], float], Awaitable[Mapping[K, V]]]


class _Waiter(NamedTuple, Generic[K, V]):
    key: K
    result: asyncio.Future[V | None]
    deadline: float


class GatheredReads(Generic[K, V]):
    """The requests that wait for a reading; used from one event loop."""

    def __init__(self, read: ReadMany[K, V], seconds: float) -> None:
        """Gather requests.

        Args:
            read: Reads the values of keys by a time of the event loop; absent ones have none.
            seconds: Time that a request waits.
        """
        self._read = read
        self._seconds = seconds
        self._waiting: list[_Waiter[K, V]] = []
        self._reading: asyncio.Task[None] | None = None

    def get(self, key: K) -> asyncio.Future[V | None]:
        """Return the value of ``key`` as it is after the call; None where there is none."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter[K, V](key, loop.create_future(), loop.time() + self._seconds)
        self._waiting.append(waiter)
        if self._reading is None:
            self._reading = loop.create_task(self._run())
        return waiter.result

    async def _run(self) -> None:
        batch: list[_Waiter[K, V]] = []
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:MAX_KEYS], self._waiting[MAX_KEYS:]
                batch = [waiter for waiter in taken if not waiter.result.done()]
                if batch:
                    await self._settle(batch)
        finally:
            self._reading = None
            # None is left, unless the reading was cancelled at the end of the process.
            for waiter in (*batch, *self._waiting):
                waiter.result.cancel()
            self._waiting = []

    async def _settle(self, batch: Sequence[_Waiter[K, V]]) -> None:
        """Read for ``batch``, and give each the value of its key or the exception."""
        failure: Exception | None = None
        values: Mapping[K, V] = {}
        try:
            values = await self._read(list({waiter.key for waiter in batch}), batch[0].deadline)
        except Exception as error:
            failure = error
        for waiter in batch:
            if waiter.result.done():  # its request was given up
                continue
            if failure is None:
                waiter.result.set_result(values.get(waiter.key))
            else:
                waiter.result.set_exception(failure)
