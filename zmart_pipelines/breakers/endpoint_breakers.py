"""Breakers of RPC endpoints: in the memory of one process, or shared in the database.

Both are ``zmart_pipelines.chain.endpoint_guard.Guard``. pybreaker, the maintained library for this,
lets every process probe at the same time, has one fixed pause and keeps its state in memory or
Redis only.
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

# A closed breaker's row is read again after so many seconds.
_FRESH_SECONDS = 1.0


def _utc() -> datetime:
    return datetime.now(UTC)


class MemoryGuard:
    """Breakers in memory, for a long-lived process that serves requests."""

    def __init__(self, policy: Policy, *, clock: Callable[[], datetime] = _utc) -> None:
        self._policy = policy
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}
        self._lock = Lock()

    def breakers(self) -> dict[str, Breaker]:
        """Return all breakers that were entered so far, by name."""
        with self._lock:
            return dict(self._breakers)

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """Return a ticket, or None while the circuit is open."""
        name = endpoint_name(endpoint)
        with self._lock:
            before = self._breakers.get(name, Breaker())
            after, answer = machine.allow(before, self._clock(), self._policy)
            self._breakers[name] = after
        if isinstance(answer, Permit):
            return answer.generation
        return after.generation if force else None

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """Record a success; see :func:`machine.succeeded`."""
        self._change(endpoint, lambda breaker: machine.succeeded(breaker, ticket))

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """Record a failure; see :func:`machine.failed`."""
        self._change(
            endpoint,
            lambda breaker: machine.failed(
                breaker, error, self._clock(), self._policy, generation=ticket
            ),
        )

    def returned(self, endpoint: str, ticket: int) -> None:
        """Return an unused ticket; see :func:`machine.abandoned`."""
        self._change(endpoint, lambda breaker: machine.abandoned(breaker, ticket, self._clock()))

    def _change(self, endpoint: str, change: Callable[[Breaker], Breaker]) -> None:
        name = endpoint_name(endpoint)
        with self._lock:
            self._breakers[name] = change(self._breakers.get(name, Breaker()))


class DatabaseGuard:
    """Breakers in the database, for the pipelines' short-lived processes.

    A call through a closed breaker costs no query: its row is read at most once a second, and
    written only when something failed before. Each query is a transaction of its own on a
    connection of ``engine`` (role pipelines), so that no lock of the caller is held.
    """

    def __init__(
        self, engine: Engine, policy: Policy, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._clock = clock
        self._lock = Lock()
        # By name: when the row was last read, and the breaker then.
        self._cache: dict[str, tuple[float, Breaker]] = {}

    def enter(self, endpoint: str, *, force: bool = False) -> int | None:
        """Return a ticket, or None while the circuit is open."""
        name = endpoint_name(endpoint)
        cached = self._cached(name)
        if cached is not None and cached.state is State.CLOSED:
            return cached.generation
        with self._engine.begin() as conn:
            answer, breaker = breaker_rows.enter(conn, name, self._policy)
        self._store(name, breaker)
        if isinstance(answer, Permit):
            return answer.generation
        return breaker.generation if force else None

    def succeeded(self, endpoint: str, ticket: int) -> None:
        """Record a success; see :func:`machine.succeeded`."""
        name = endpoint_name(endpoint)
        with self._lock:
            _, cached = self._cache.get(name, (0.0, None))
        if cached is not None and cached.state is State.CLOSED and not cached.failures:
            return
        with self._engine.begin() as conn:
            breaker = breaker_rows.succeeded(conn, name, ticket)
        self._store(name, breaker)

    def failed(self, endpoint: str, ticket: int, error: str) -> None:
        """Record a failure; see :func:`machine.failed`."""
        name = endpoint_name(endpoint)
        with self._engine.begin() as conn:
            breaker = breaker_rows.failed(conn, name, error, self._policy, generation=ticket)
        self._store(name, breaker)

    def returned(self, endpoint: str, ticket: int) -> None:
        """Return an unused ticket; see :func:`machine.abandoned`."""
        name = endpoint_name(endpoint)
        cached = self._cached(name)
        if cached is not None and cached.state is State.CLOSED:
            return
        with self._engine.begin() as conn:
            breaker = breaker_rows.abandoned(conn, name, ticket)
        self._store(name, breaker)

    def _cached(self, name: str) -> Breaker | None:
        with self._lock:
            at, breaker = self._cache.get(name, (0.0, None))
        if breaker is None or self._clock() - at > _FRESH_SECONDS:
            return None
        return breaker

    def _store(self, name: str, breaker: Breaker) -> None:
        with self._lock:
            self._cache[name] = (self._clock(), breaker)
