"""Requests that arrive together share a reading, which is never older than a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.hot_reads.shared_flights import SharedFlights


class Source:
    """A reading that waits to be let through; it returns the number of readings begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Semaphore(0)
        self.failure: Exception | None = None
        self.deadlines: list[float] = []

    async def read(self, deadline: float) -> int:
        """Wait, then return which reading this is."""
        self.begun += 1
        self.deadlines.append(deadline)
        number = self.begun
        await self.gate.acquire()
        if self.failure is not None:
            raise self.failure
        return number


def run(work: Callable[[Source, SharedFlights[int]], Awaitable[None]]) -> None:
    """Run ``work`` with a source and flights of its own."""

    async def main() -> None:
        await work(Source(), SharedFlights(seconds=10))

    asyncio.run(main())


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_requests_during_a_reading_share_the_next_one() -> None:
    async def work(source: Source, flights: SharedFlights[int]) -> None:
        first = flights.get("key", source.read)
        await settle()
        later = [flights.get("key", source.read) for _ in range(5)]
        other = flights.get("other", source.read)
        for _ in range(3):
            source.gate.release()
        assert await first == 1
        assert await other == 2
        assert await asyncio.gather(*later) == [3] * 5
        assert source.begun == 3

    run(work)


def test_requests_of_one_turn_of_the_event_loop_share_their_reading() -> None:
    async def work(source: Source, flights: SharedFlights[int]) -> None:
        source.gate.release()
        together = [flights.get("key", source.read) for _ in range(5)]
        assert await asyncio.gather(*together) == [1] * 5

    run(work)


def test_request_after_the_end_of_a_reading_has_its_own() -> None:
    async def work(source: Source, flights: SharedFlights[int]) -> None:
        source.gate.release()
        source.gate.release()
        assert await flights.get("key", source.read) == 1
        assert await flights.get("key", source.read) == 2

    run(work)


def test_failure_reaches_those_who_shared_the_reading_and_none_else() -> None:
    async def work(source: Source, flights: SharedFlights[int]) -> None:
        first = flights.get("key", source.read)
        await settle()
        second = flights.get("key", source.read)
        source.failure = ValueError("away")
        source.gate.release()
        with pytest.raises(ValueError, match="away"):
            await first
        source.failure = None
        source.gate.release()
        assert await second == 2

    run(work)


def test_request_that_is_given_up_does_not_disturb_the_others() -> None:
    async def work(source: Source, flights: SharedFlights[int]) -> None:
        async def ask() -> int:
            return await flights.get("key", source.read)

        requests = [asyncio.create_task(ask()) for _ in range(2)]
        await settle()
        requests += [asyncio.create_task(ask()) for _ in range(2)]
        await settle()
        requests[0].cancel()
        requests[2].cancel()
        await settle()
        source.gate.release()
        source.gate.release()
        assert await requests[1] == 1
        assert await requests[3] == 2
        assert requests[0].cancelled()
        assert requests[2].cancelled()

    run(work)


def test_reading_for_which_none_waits_any_more_is_not_begun() -> None:
    async def work(source: Source, flights: SharedFlights[int]) -> None:
        first = flights.get("key", source.read)
        await settle()
        flights.get("key", source.read).cancel()
        source.gate.release()
        assert await first == 1
        await settle()
        assert source.begun == 1

    run(work)


def test_reading_gets_what_is_left_to_the_request_that_waited_longest() -> None:
    async def work(source: Source, flights: SharedFlights[int]) -> None:
        loop = asyncio.get_running_loop()
        first = flights.get("key", source.read)
        await settle()
        asked = loop.time()
        second = flights.get("key", source.read)
        third = flights.get("key", source.read)
        await asyncio.sleep(0.05)
        source.gate.release()
        source.gate.release()
        await asyncio.gather(first, second, third)
        assert source.deadlines[1] <= asked + 10.04

    run(work)
