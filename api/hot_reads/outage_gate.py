"""How many requests may wait for a database that may not answer.

A request that waits holds a connection of its client. Where Postgres hangs, the reads that arrive
until their deadline could hold all connections, and requests that need no Postgres would find no
place. So reads never hold more than their part, and once one of them was not answered only a few
wait, which notice when Postgres is back; the others are refused at once.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from api.database import DatabaseBusy


class OutageGate:
    """The requests that wait now: ``with gate:`` around the wait. For one event loop."""

    def __init__(self, *, limit: int, limit_in_outage: int) -> None:
        """Let so many requests wait, and fewer while the last answer was none."""
        self._limit = limit
        self._limit_in_outage = limit_in_outage
        self._is_outage = False
        self._waiting = 0

    def __enter__(self) -> None:
        """Take a place; raise DatabaseBusy where there is none."""
        if self._waiting >= (self._limit_in_outage if self._is_outage else self._limit):
            raise DatabaseBusy("too many reads wait for Postgres")
        self._waiting += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Give the place back, and note whether Postgres answered."""
        self._waiting -= 1
        if kind is None or not issubclass(kind, asyncio.CancelledError):
            self._is_outage = kind is not None and issubclass(kind, DatabaseBusy)
