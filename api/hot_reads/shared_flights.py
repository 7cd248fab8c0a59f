"""Identical requests that arrive together share one reading, and none gets one older than itself.

A reading begins in the next turn of the event loop, for all that ask in this one. While it runs,
requests for the same thing wait for the next one, because the running one may have seen the
database before they arrived. All that wait share it. So each answer is as fresh as a reading of its
own, and a thing that a thousand clients ask for is read once at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Waiter(NamedTuple, Generic[T]):
    result: asyncio.Future[T]
    deadline: float


class SharedFlights(Generic[T]):
    """The readings that run now, by what they read; used from one event loop."""

    def __init__(self, seconds: float) -> None:
        """Share readings.

        Args:
            seconds: Time that a request waits for its answer. A reading gets what is left of it
                to the request that has waited longest.
        """
        self._seconds = seconds
        # Who waits for the next reading; has a key while a reading of it runs or is about to.
        self._waiting: dict[Hashable, list[_Waiter[T]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, key: Hashable, read: Callable[[float], Awaitable[T]]) -> asyncio.Future[T]:
        """Return what ``read`` returns when it is called now or later with its deadline.

        Args:
            key: What is read; calls with the same key read the same.
            read: Is given the time of the event loop by which it must be done.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter[T](loop.create_future(), loop.time() + self._seconds)
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(waiter)
        else:
            self._waiting[key] = [waiter]
            task = loop.create_task(self._fly(key, read))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return waiter.result

    async def _fly(self, key: Hashable, read: Callable[[float], Awaitable[T]]) -> None:
        """Read for those that wait, then for those that have come meanwhile, until none has."""
        waiters: list[_Waiter[T]] = []
        try:
            while arrived := self._waiting[key]:
                self._waiting[key] = []
                waiters = [waiter for waiter in arrived if not waiter.result.done()]
                if waiters:
                    await _settle(waiters, read)
        finally:
            # None is left, unless the reading was cancelled at the end of the process.
            for waiter in (*waiters, *self._waiting.pop(key)):
                waiter.result.cancel()


async def _settle(waiters: list[_Waiter[T]], read: Callable[[float], Awaitable[T]]) -> None:
    """Read, and give every waiter the result or the exception."""
    failure: Exception | None = None
    try:
        value = await read(waiters[0].deadline)
    except Exception as error:
        failure = error
    for waiter in waiters:
        if waiter.result.done():  # its request was given up
            continue
        if failure is None:
            waiter.result.set_result(value)
        else:
            waiter.result.set_exception(failure)
