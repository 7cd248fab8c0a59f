"""Breakers in front of RPC endpoints: remembered by one process, or by all in the database.

Both are ``zmart_pipelines.chain.endpoint_guard.Guard``. pybreaker, the kept library for this, lets
every process probe at once, knows one fixed pause and keeps state in memory or Redis alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock

from sqlalchemy import Engine

from zmart_pipelines.breakers import breaker_rows, machine
from zmart_pipelines.breakers.machine import Breaker, Permit, Policy, State
from zmart_pipelines.breakers.policies import endpoint_name

# A closed breaker's row is looked at again after so many seconds.
_FRESH_SECONDS = 1.0


def _utc() -> datetime:
    return datetime.now(UTC)


class MemoryGuard:
    """For a process that serves people and whose memory is long enough."""

    def __init__(self, policy: Policy, *, clock: Callable[[], datetime] = _utc) -> None:
        self._policy = policy
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}
        self._lock = Lock()

    def breakers(self) -> dict[str, Breaker]:
        """All that were ever asked about, by their names."""
        with self._lock:
            return dict(self._breakers)

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """A ticket, or None while the endpoint is left alone."""
        name = endpoint_name(endpoint)
        with self._lock:
            before = self._breakers.get(name, Breaker())
            after, answer = machine.allow(before, self._clock(), self._policy)
            self._breakers[name] = after
        if isinstance(answer, Permit):
            return answer.generation
        return after.generation if force else None

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """See :func:`machine.succeeded`."""
        self._change(endpoint, lambda breaker: machine.succeeded(breaker, ticket))

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """See :func:`machine.failed`."""
        self._change(
            endpoint,
            lambda breaker: machine.failed(
                breaker, error, self._clock(), self._policy, generation=ticket
            ),
        )

    def returned(self, endpoint: str, ticket: int) -> None:
        """See :func:`machine.abandoned`."""
        self._change(endpoint, lambda breaker: machine.abandoned(breaker, ticket, self._clock()))

    def _change(self, endpoint: str, change: Callable[[Breaker], Breaker]) -> None:
        name = endpoint_name(endpoint)
        with self._lock:
            self._breakers[name] = change(self._breakers.get(name, Breaker()))


class DatabaseGuard:
    """For the pipelines' processes, which come and go: rows that all of them share.

    A call through a closed breaker costs no query: its row is read at most once a second, and
    written only when something failed before. Each query is a transaction of its own on a
    connection of ``engine`` (role pipelines), so that nothing of the caller's is held.
    """

    def __init__(
        self, engine: Engine, policy: Policy, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._clock = clock
        self._lock = Lock()
        # What the row was when it was last seen, and when that was.
        self._seen: dict[str, tuple[float, Breaker]] = {}

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """A ticket, or None while the endpoint is left alone."""
        name = endpoint_name(endpoint)
        known = self._known(name)
        if known is not None and known.state is State.CLOSED:
            return known.generation
        with self._engine.begin() as conn:
            answer, breaker = breaker_rows.enter(conn, name, self._policy)
        self._remember(name, breaker)
        if isinstance(answer, Permit):
            return answer.generation
        return breaker.generation if force else None

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """See :func:`machine.succeeded`."""
        name = endpoint_name(endpoint)
        with self._lock:
            _, seen = self._seen.get(name, (0.0, None))
        if seen is not None and seen.state is State.CLOSED and not seen.failures:
            return
        with self._engine.begin() as conn:
            breaker = breaker_rows.succeeded(conn, name, ticket)
        self._remember(name, breaker)

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """See :func:`machine.failed`."""
        name = endpoint_name(endpoint)
        with self._engine.begin() as conn:
            breaker = breaker_rows.failed(conn, name, error, self._policy, generation=ticket)
        self._remember(name, breaker)

    def returned(self, endpoint: str, ticket: int) -> None:
        """See :func:`machine.abandoned`."""
        name = endpoint_name(endpoint)
        known = self._known(name)
        if known is not None and known.state is State.CLOSED:
            return
        with self._engine.begin() as conn:
            breaker = breaker_rows.abandoned(conn, name, ticket)
        self._remember(name, breaker)

    def _known(self, name: str) -> Breaker | None:
        with self._lock:
            at, breaker = self._seen.get(name, (0.0, None))
        if breaker is None or self._clock() - at > _FRESH_SECONDS:
            return None
        return breaker

    def _remember(self, name: str, breaker: Breaker) -> None:
        with self._lock:
            self._seen[name] = (self._clock(), breaker)
