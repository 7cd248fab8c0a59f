"""Reads on the event loop, one statement each (``api.statement_pool``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from api.database import DatabaseBusy
from api.statement_pool import Row, StatementPool
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.async_connections import ServerIdentity
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.outages import is_outage_of_asyncpg
from zmart_pipelines.store.queries import snapshots

# What Postgres ended while it was idle says nothing about a read, which is tried once more.
_ATTEMPTS = 2
_DAY = 86_400


class ServerRun(NamedTuple):
    """A time in which the number of a transaction names one transaction.

    Attributes:
        server: Differs between databases, servers, and runs of a server.
        day: Much less than the time in which the numbers come round again.
    """

    server: int
    day: int


class Answer(NamedTuple):
    """The rows of a statement, and in which run of the server they were read."""

    rows: Sequence[Row]
    run: ServerRun


class ReadPool(StatementPool):
    """At most ``size`` connections of the reading role."""

    def __init__(
        self,
        settings: Settings,
        *,
        size: int,
        seconds: float | None = None,
        plan_once: bool = True,
    ) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            settings: Have the login of the reading role.
            size: Connections that are open at most.
            seconds: Time for a read; default ``API_DATABASE_SECONDS``.
            plan_once: See ``open_connection``.

        Raises:
            MissingLogin: The settings have no URL for the reading role.
        """
        super().__init__(
            Role.READ,
            settings,
            size=size,
            seconds=settings.api_database_seconds if seconds is None else seconds,
            read_only=True,
            plan_once=plan_once,
        )
        self._servers: dict[ServerIdentity, int] = {}

    async def fetch(
        self, text: str, arguments: Sequence[Any] = (), *, deadline: float | None = None
    ) -> Answer:
        """Run one statement and return its rows.

        Raises:
            DatabaseBusy: Postgres is away or does not answer in time, or too many reads wait.
            asyncpg.PostgresError: The statement fails.
        """
        until = self.deadline() if deadline is None else deadline
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                rows, connection = await self._attempt(text, arguments, until)
            except Exception as error:
                if not is_outage_of_asyncpg(error):
                    raise
                self._drop_idle()
                if attempt == _ATTEMPTS or asyncio.get_running_loop().time() >= until:
                    raise DatabaseBusy(
                        f"Postgres did not answer: {type(error).__name__}"
                    ) from error
            else:
                return Answer(rows, self._run_of(connection.server))
        raise AssertionError

    def _run_of(self, server: ServerIdentity) -> ServerRun:
        day = int(asyncio.get_running_loop().time()) // _DAY
        return ServerRun(self._servers.setdefault(server, len(self._servers)), day)

    async def snapshot(self, deadline: float) -> tuple[str, ServerRun]:
        """Return which commits a statement sees now: equal only where it sees the same rows.

        Args:
            deadline: As for ``fetch``.

        Raises:
            DatabaseBusy: As for ``fetch``.
        """
        rows, run = await self.fetch(snapshots.CURRENT.text, deadline=deadline)
        return rows[0][0], run
