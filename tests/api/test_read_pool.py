"""The pool of the event loop's reads: bounded, in time, and well again after an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import make_url

from api.database import DatabaseBusy
from api.hot_reads.read_pool import ReadPool
from tests.api.ended_connections import end_connections
from tests.api.frozen import frozen
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, running_postgres
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.migrate import migrate

BACKEND = "SELECT pg_backend_pid()"


@asynccontextmanager
async def pool(settings: Settings, size: int = 2, **changes: Any) -> AsyncIterator[ReadPool]:
    """A pool that is closed at the end."""
    made = ReadPool(settings.model_copy(update=changes), size=size)
    try:
        yield made
    finally:
        made.close()


def test_reads_share_few_connections_that_can_only_read(api_settings: Settings) -> None:
    async def read() -> None:
        async with pool(api_settings) as made:
            answers = await asyncio.gather(*(made.fetch(BACKEND) for _ in range(50)))
            assert len({answer.rows[0][0] for answer in answers}) <= 2
            assert len({answer.run for answer in answers}) == 1
            settings = await made.fetch(
                "SELECT current_user::text, current_setting('TimeZone'),"
                " current_setting('statement_timeout'), current_setting('application_name')"
            )
            assert tuple(settings.rows[0]) == ("zmart_read", "UTC", "30s", "zmart_read")
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await made.fetch("CREATE TABLE public.t ()")
            with pytest.raises(asyncpg.UndefinedTableError):
                await made.fetch("SELECT FROM public.nothing")
            assert (await made.fetch("SELECT $1::bigint", [7])).rows[0][0] == 7

    asyncio.run(read())


def test_connections_that_were_ended_are_replaced_without_an_error(
    api_settings: Settings, postgres_server: PostgresServer, database: str
) -> None:
    async def read() -> None:
        async with pool(api_settings) as made:
            for _ in range(3):
                await asyncio.gather(*(made.fetch("SELECT 1") for _ in range(8)))
                # The event loop stands still meanwhile, and so has not seen the end.
                assert end_connections(postgres_server, database, Role.READ) == 2
                answers = await asyncio.gather(*(made.fetch("SELECT 1") for _ in range(8)))
                assert [answer.rows[0][0] for answer in answers] == [1] * 8

    asyncio.run(read())


@pytest.mark.process
def test_frozen_postgres_is_given_up_in_time_and_used_again_after(tmp_path: Any) -> None:
    with running_postgres() as server:
        url = server.url()
        migrate(url)
        settings = Settings(**login_settings(url), api_database_seconds=2, zmart_state=tmp_path)

        async def read() -> None:
            loop = asyncio.get_running_loop()
            async with pool(settings, api_database_seconds=60) as patient:
                await patient.fetch("SELECT 1")
            async with pool(settings) as made:
                await _eventually(made)
                with frozen(server):
                    begun = loop.time()
                    failures = await asyncio.gather(
                        *(made.fetch("SELECT 1") for _ in range(20)), return_exceptions=True
                    )
                    assert {type(failure) for failure in failures} == {DatabaseBusy}
                    # Two seconds, and what a busy machine adds; without a deadline: for ever.
                    assert loop.time() - begun < 30
                await _eventually(made)

        asyncio.run(read())


async def _eventually(made: ReadPool) -> None:
    """Read until it succeeds."""
    while True:
        try:
            await made.fetch("SELECT 1")
        except DatabaseBusy:
            await asyncio.sleep(0)
        else:
            return


def test_reads_beyond_the_queue_are_refused_at_once(api_settings: Settings) -> None:
    async def read() -> None:
        async with pool(api_settings, size=1, api_queue=3) as made:
            await made.fetch("SELECT 1")
            slow = asyncio.create_task(made.fetch("SELECT pg_sleep(0.5)"))
            await asyncio.sleep(0)
            answers = await asyncio.gather(
                *(made.fetch("SELECT 1") for _ in range(10)), return_exceptions=True
            )
            refused = [answer for answer in answers if isinstance(answer, DatabaseBusy)]
            assert len(refused) == 7
            await slow

    asyncio.run(read())


def test_slow_statement_ends_at_its_deadline(api_settings: Settings) -> None:
    async def read() -> None:
        async with pool(api_settings, size=1, api_database_seconds=0.5) as made:
            with pytest.raises(DatabaseBusy):
                await made.fetch("SELECT pg_sleep(600)")
            await _eventually(made)

    asyncio.run(read())


def test_read_that_is_given_up_gives_its_connection_back(api_settings: Settings) -> None:
    async def read() -> None:
        async with pool(api_settings, size=1) as made:
            await made.fetch("SELECT 1")
            running = asyncio.create_task(made.fetch("SELECT pg_sleep(0.2)"))
            waiting = [asyncio.create_task(made.fetch("SELECT 1")) for _ in range(4)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            waiting[2].cancel()
            running.cancel()
            await asyncio.wait([running, *waiting])
            assert [task.cancelled() for task in (running, *waiting)] == [
                True,
                True,
                False,
                True,
                False,
            ]
            assert (await made.fetch("SELECT 1")).rows[0][0] == 1

    asyncio.run(read())


def test_pool_without_postgres_says_so_and_needs_none_to_be_made(api_settings: Settings) -> None:
    absent = f"postgresql://zmart_read:secret@127.0.0.1:{unused_port()}/zmart"
    settings = Settings.model_validate(api_settings.model_dump() | {"database_url_read": absent})

    async def read() -> None:
        async with pool(settings) as made:
            with pytest.raises(DatabaseBusy) as failure:
                await made.fetch("SELECT 1")
            assert "secret" not in str(failure.value)

    asyncio.run(read())


def test_wrong_password_is_an_outage_that_names_no_secret(api_settings: Settings) -> None:
    secret = api_settings.database_url_read
    assert secret is not None
    url = make_url(secret.get_secret_value()).set(password="another")
    wrong = url.render_as_string(hide_password=False)
    settings = Settings.model_validate(api_settings.model_dump() | {"database_url_read": wrong})

    async def read() -> None:
        async with pool(settings) as made:
            with pytest.raises(DatabaseBusy):
                await made.fetch("SELECT 1")

    asyncio.run(read())


def test_closed_pool_has_no_connection(
    api_settings: Settings, postgres_server: PostgresServer, database: str
) -> None:
    async def read() -> None:
        async with pool(api_settings) as made:
            await asyncio.gather(*(made.fetch("SELECT pg_sleep(0.1)") for _ in range(2)))
        # Postgres notices the end of a connection a moment later.
        for _ in range(600):
            if _open_readers(postgres_server, database) == 0:
                return
            await asyncio.sleep(0.1)
        pytest.fail("a connection is still open")

    asyncio.run(read())


def _open_readers(server: PostgresServer, database: str) -> int:
    name = database.rsplit("/", 1)[1]
    with psycopg.connect(server.url("postgres", SUPERUSER)) as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'zmart_read' AND datname = %s",
            (name,),
        ).fetchone()
    assert row is not None
    return int(row[0])
