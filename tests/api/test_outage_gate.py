"""Reads that wait for a Postgres that hangs leave room for other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from api.database import DatabaseBusy
from api.hot_reads.market_answers import MarketAnswers
from api.hot_reads.outage_gate import OutageGate
from api.requests.market_list_query import ListParameters, list_query
from tests.api.frozen import frozen
from zmart_pipelines.runtime.postgres import PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, running_postgres
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.migrate import migrate

LIMIT = 3


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A migrated Postgres that the test may freeze."""
    with running_postgres() as server:
        migrate(server.url())
        yield server


def wait(gate: OutageGate, answer: asyncio.Future[int]) -> asyncio.Task[int]:
    async def run() -> int:
        with gate:
            return await answer

    return asyncio.get_running_loop().create_task(run())


def test_fewer_may_wait_after_no_answer_and_all_after_the_next() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gate = OutageGate(limit=LIMIT, limit_in_outage=1)
        for error in (DatabaseBusy("hangs"), None):
            answer: asyncio.Future[int] = loop.create_future()
            waiting = [wait(gate, answer) for _ in range(LIMIT + 2)]
            await asyncio.sleep(0)
            places = LIMIT if error is not None else 1
            assert [one.done() for one in waiting] == [False] * places + [True] * (
                LIMIT + 2 - places
            )
            if error is None:
                answer.set_result(1)
            else:
                answer.set_exception(error)
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert sum(one == 1 for one in found) == (0 if error else 1)
        open_again = loop.create_future()
        waiting = [wait(gate, open_again) for _ in range(LIMIT)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        # A request that is given up says nothing of Postgres, and leaves its place.
        open_again = loop.create_future()
        waiting = [wait(gate, open_again) for _ in range(LIMIT)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        open_again.set_result(1)
        await asyncio.gather(*waiting)

    asyncio.run(scenario())


@pytest.mark.process
def test_frozen_postgres_holds_few_reads_and_is_noticed_when_it_is_back(
    own_postgres: PostgresServer,
) -> None:
    settings = Settings(
        **login_settings(own_postgres.url()), api_database_seconds=2, api_read_connections=4
    )

    async def scenario() -> None:
        answers = MarketAnswers(settings)
        asked = list_query(ListParameters())
        with frozen(own_postgres):
            with pytest.raises(DatabaseBusy):
                await answers.list(asked)
            waiting = [asyncio.ensure_future(answers.list(asked)) for _ in range(20)]
            await asyncio.sleep(0)
            # Long before any deadline.
            assert sum(one.done() for one in waiting) == 20 - settings.api_read_connections
            refused = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(one, DatabaseBusy) for one in refused)
        async with asyncio.timeout(60):
            while True:
                try:
                    await answers.list(asked)
                except DatabaseBusy:
                    continue
                break
        found = await asyncio.gather(*(answers.list(asked) for _ in range(20)))
        assert len({one.content for one in found}) == 1
        answers.close()

    asyncio.run(scenario())
