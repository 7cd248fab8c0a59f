"""The pool of the event loop's writes: each statement commits by itself, and is never repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from api.database import DatabaseBusy
from api.write_pool import WritePool
from tests.api.ended_connections import end_connections
from zmart_pipelines.runtime.postgres import PostgresServer
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

INSERT = (
    "INSERT INTO ops.heartbeats (service, last_attempt_at) VALUES ($1, now()) RETURNING service"
)
COUNT = "SELECT count(*) FROM ops.heartbeats WHERE service = $1"


@asynccontextmanager
async def pool(settings: Settings, **changes: Any) -> AsyncIterator[WritePool]:
    """A pool that is closed at the end."""
    made = WritePool(settings.model_copy(update=changes))
    try:
        yield made
    finally:
        made.close()


def run(settings: Settings, work: Callable[[WritePool], Awaitable[None]], **changes: Any) -> None:
    async def with_pool() -> None:
        async with pool(settings, **changes) as made:
            await work(made)

    asyncio.run(with_pool())


def test_statement_is_committed_under_the_role_of_writes(api_settings: Settings) -> None:
    async def write(made: WritePool) -> None:
        assert [tuple(row) for row in await made.execute(INSERT, ["a"])] == [("a",)]
        rows = await made.execute("SELECT current_user::text, current_setting('TimeZone')", [])
        assert tuple(rows[0]) == ("zmart_api", "UTC")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await made.execute("CREATE TABLE ops.t ()", [])

    async def read(made: WritePool) -> None:
        assert (await made.execute(COUNT, ["a"]))[0][0] == 1

    run(api_settings, write)
    run(api_settings, read)


def test_connections_are_as_many_as_threads_of_writes(api_settings: Settings) -> None:
    async def write(made: WritePool) -> None:
        answers = await asyncio.gather(
            *(made.execute("SELECT pg_backend_pid(), pg_sleep(0.01)", []) for _ in range(20))
        )
        assert len({rows[0][0] for rows in answers}) == 3

    run(api_settings, write, api_write_threads=3)


def test_write_on_an_ended_connection_is_not_repeated(
    api_settings: Settings, postgres_server: PostgresServer, database: str
) -> None:
    async def write(made: WritePool) -> None:
        await made.execute(INSERT, ["before"])
        # The event loop stands still meanwhile, and so has not seen the end.
        assert end_connections(postgres_server, database, Role.API) >= 1
        with pytest.raises(DatabaseBusy):
            await made.execute(INSERT, ["lost"])
        assert (await made.execute(COUNT, ["lost"]))[0][0] == 0
        assert await made.execute(INSERT, ["after"])

    run(api_settings, write, api_write_threads=1)


def test_slow_statement_ends_at_its_deadline_and_commits_nothing(api_settings: Settings) -> None:
    slow = (
        "INSERT INTO ops.heartbeats (service, last_attempt_at)"
        " SELECT 'slow', now() FROM pg_sleep(600)"
    )

    async def write(made: WritePool) -> None:
        with pytest.raises(DatabaseBusy):
            await made.execute(slow, [])
        assert (await made.execute(COUNT, ["slow"]))[0][0] == 0

    run(api_settings, write, api_write_threads=1, api_database_seconds=2)


def test_wrong_password_is_an_outage_that_names_no_secret(api_settings: Settings) -> None:
    secret = api_settings.database_url_api
    assert secret is not None
    url = make_url(secret.get_secret_value()).set(password="another")
    wrong = url.render_as_string(hide_password=False)
    settings = Settings.model_validate(api_settings.model_dump() | {"database_url_api": wrong})

    async def write(made: WritePool) -> None:
        with pytest.raises(DatabaseBusy) as failure:
            await made.execute("SELECT 1", [])
        assert "another" not in str(failure.value)

    run(settings, write)
