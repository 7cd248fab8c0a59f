"""Which sessions were ended while their access tokens may still be valid.

Their ids are read at most every ``FRESH_SECONDS`` while requests carry tokens. While Postgres does
not answer, reads go on with what was last known; a write asks it again in its own transaction.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.shared_reading import SharedReading
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries import accounts

FRESH_SECONDS: Final = 1.0
STATEMENT_SECONDS: Final = 2.0
# How long after the end of a session a token of it may still be given out by a request in flight.
_IN_FLIGHT: Final = timedelta(minutes=5)


class EndedSessions:
    """The ended sessions that this process knows; release it with ``close``."""

    def __init__(self, settings: Settings) -> None:
        self._engine = engine(
            Role.API, settings, pool_size=1, max_overflow=1, statement_timeout=STATEMENT_SECONDS
        )
        self._age = timedelta(seconds=settings.access_token_seconds) + _IN_FLIGHT
        self._reading = SharedReading(self._read, fresh=FRESH_SECONDS)
        self._known: frozenset[UUID] = frozenset()

    async def contains(self, session: UUID) -> bool:
        """Return whether the session was ended, as far as this process can know."""
        with contextlib.suppress(DBAPIError, PoolTimeout, TimeoutError):
            self._known = await self._reading.get()
        return session in self._known

    def _read(self) -> frozenset[UUID]:
        with self._engine.connect() as conn:
            return accounts.sessions_ended_within(conn, self._age)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._engine.dispose()
