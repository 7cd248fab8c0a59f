"""Writes on the event loop, one statement each, which is a transaction of its own.

A write of several statements, or one that is decided between them, runs in a thread
(``api.database``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.database import DatabaseBusy
from api.statement_pool import Row, StatementPool
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.outages import is_outage_of_asyncpg


class WritePool(StatementPool):
    """At most ``API_WRITE_THREADS`` connections of the role of users' writes."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the pool; nothing is connected yet.

        Raises:
            MissingLogin: The settings have no URL for the role.
        """
        super().__init__(
            Role.API,
            settings,
            size=settings.api_write_threads,
            seconds=settings.api_database_seconds,
            read_only=False,
            plan_once=True,
        )

    async def execute(self, text: str, arguments: Sequence[Any]) -> Sequence[Row]:
        """Run one statement and return its rows once it is committed. It is not repeated.

        Raises:
            DatabaseBusy: Postgres is away or does not answer in time, or too many writes wait. The
                statement may be committed or not.
            asyncpg.PostgresError: The statement fails; nothing of it is committed.
        """
        try:
            rows, _ = await self._attempt(text, arguments, self.deadline())
        except Exception as error:
            if not is_outage_of_asyncpg(error):
                raise
            self._drop_idle()
            raise DatabaseBusy(f"Postgres did not answer: {type(error).__name__}") from error
        return rows
