"""Requests for single rows share statements, and none gets a row older than itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from api.hot_reads.gathered_reads import MAX_KEYS, GatheredReads


class Table:
    """Rows that are read when they are let through."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.asked: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)
        self.failure: Exception | None = None

    async def read(self, keys: Sequence[int], _deadline: float) -> Mapping[int, str]:
        """Return the rows of these keys as they are when the reading begins."""
        found = {key: self.rows[key] for key in keys if key in self.rows}
        self.asked.append(sorted(keys))
        await self.gate.acquire()
        if self.failure is not None:
            raise self.failure
        return found


def run(work: Callable[[Table, GatheredReads[int, str]], Awaitable[None]]) -> None:
    """Run ``work`` on a table of its own."""

    async def main() -> None:
        table = Table()
        await work(table, GatheredReads(table.read, 10))

    asyncio.run(main())


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_requests_during_a_reading_are_read_together_and_are_fresh() -> None:
    async def work(table: Table, reads: GatheredReads[int, str]) -> None:
        table.rows = {1: "old"}
        first = reads.get(1)
        await settle()
        table.rows = {1: "new", 2: "two"}
        later = [reads.get(key) for key in (1, 2, 3, 1)]
        table.gate.release()
        table.gate.release()
        assert await first == "old"
        assert await asyncio.gather(*later) == ["new", "two", None, "new"]
        assert table.asked == [[1], [1, 2, 3]]

    run(work)


def test_many_requests_are_read_in_parts() -> None:
    async def work(table: Table, reads: GatheredReads[int, str]) -> None:
        number = 2 * MAX_KEYS + 1
        table.rows = {key: str(key) for key in range(number)}
        results = [reads.get(key) for key in range(number)]
        for _ in range(3):
            table.gate.release()
        assert await asyncio.gather(*results) == list(table.rows.values())
        assert [len(keys) for keys in table.asked] == [MAX_KEYS, MAX_KEYS, 1]

    run(work)


def test_failure_reaches_those_who_shared_the_reading_and_none_else() -> None:
    async def work(table: Table, reads: GatheredReads[int, str]) -> None:
        table.failure = ValueError("away")
        first = reads.get(1)
        await settle()
        second = reads.get(2)
        table.gate.release()
        with pytest.raises(ValueError, match="away"):
            await first
        table.failure = None
        table.gate.release()
        assert await second is None

    run(work)


def test_request_that_is_given_up_is_not_read_and_disturbs_no_other() -> None:
    async def work(table: Table, reads: GatheredReads[int, str]) -> None:
        first = reads.get(1)
        await settle()
        reads.get(2).cancel()
        third = reads.get(3)
        first.cancel()
        table.gate.release()
        table.gate.release()
        assert await third is None
        assert table.asked == [[1], [3]]

    run(work)
