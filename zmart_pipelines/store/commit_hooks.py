"""The driver's connection: work before and after a commit, and a deadline for every answer.

Callbacks run once, right after the transaction in which they were registered commits.

SQLAlchemy's own ``commit`` event runs before the commit, so the callbacks belong to the driver's
connection: it runs them when its ``commit`` has succeeded and drops them on a rollback. A
connection that returns to its pool is rolled back, so no callback reaches the next transaction.

In that event runs what must be a transaction's last statement, wherever in the transaction it was
asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.connection import _WAIT_INTERVAL
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

Hook: TypeAlias = Callable[[], None]
T = TypeVar("T")
_Handler: TypeAlias = Callable[[Connection, list[Any]], object]

_log = logging.getLogger(__name__)


class HookedConnection(psycopg.Connection[Any]):
    """A driver connection that runs its hooks after the commit.

    Attributes:
        answer_seconds: Seconds for which the server may leave a statement or a commit without
            an answer; then the connection is closed and OperationalError raised. None: for ever.
    """

    answer_seconds: float | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Start without hooks."""
        super().__init__(*arguments, **options)
        # Insertion order is kept, and each hook runs once however often it was registered.
        self.hooks: dict[Hook, None] = {}
        # What each handler does before the commit, in the order in which it was asked for.
        self.deferred: dict[_Handler, list[Any]] = {}
        # Both as they were at each savepoint that is open, the outermost first.
        self.savepoints: list[tuple[dict[Hook, None], dict[_Handler, list[Any]]]] = []

    def wait(
        self, gen: PQGen[RV], interval: float = _WAIT_INTERVAL, timeout: float | None = None
    ) -> RV:
        """Wait for an answer of the server, at most ``answer_seconds``.

        Raises:
            psycopg.OperationalError: The server did not answer. What it was sent may still take
                effect, so nothing may be claimed about it.
        """
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors._WaitTimeout:
            # Not close(), whose goodbye could block as well.
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server did not answer within {self.answer_seconds:g} s"
            ) from None

    def commit(self) -> None:
        """Commit, then run the hooks."""
        hooks = self._take_hooks()
        super().commit()
        for hook in hooks:
            try:
                hook()
            except Exception:
                # The data is committed: a raised error would look like a failed commit.
                _log.exception("an after-commit hook failed")

    def rollback(self) -> None:
        """Drop the hooks and roll back."""
        self._take_hooks()
        super().rollback()

    def take_deferred(self) -> dict[_Handler, list[Any]]:
        """Return what is to be done before the commit, and forget it."""
        deferred, self.deferred = self.deferred, {}
        return deferred

    def _take_hooks(self) -> list[Hook]:
        hooks = list(self.hooks)
        self.hooks.clear()
        self.deferred.clear()
        self.savepoints.clear()
        return hooks


def after_commit(conn: Connection, hook: Hook) -> None:
    """Run ``hook`` once after the current transaction commits; never if it is rolled back.

    The same hook registered twice in a transaction runs once. A hook must not use ``conn``; its
    exceptions are logged.
    """
    _hooked(conn).hooks[hook] = None


def before_commit(
    conn: Connection, handler: Callable[[Connection, list[T]], object], item: T
) -> None:
    """Call ``handler`` once before the current transaction commits, with all items given for it.

    It is not called where the transaction is rolled back. What it raises rolls the transaction
    back. For statements that take a lock which every other writer needs.
    """
    if not conn.in_transaction():
        conn.begin()
    _hooked(conn).deferred.setdefault(handler, []).append(item)


def install_commit_hooks(engine: Engine, *, answer_seconds: float | None = None) -> None:
    """Make the connections of ``engine`` support hooks and the deadline for answers."""

    def connect(
        _dialect: Dialect,
        _record: ConnectionPoolEntry,
        arguments: list[Any],
        options: dict[str, Any],
    ) -> HookedConnection:
        connection = HookedConnection.connect(*arguments, **options)
        connection.answer_seconds = answer_seconds
        return connection

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "commit", _run_deferred)
    event.listen(engine, "savepoint", _save)
    event.listen(engine, "release_savepoint", _forget)
    event.listen(engine, "rollback_savepoint", _restore)


def _hooked(conn: Connection) -> HookedConnection:
    raw = conn.connection.driver_connection
    if not isinstance(raw, HookedConnection):
        raise TypeError("the engine was not made by zmart_pipelines.store.engine.engine")
    return raw


def _run_deferred(conn: Connection) -> None:
    for handler, items in _hooked(conn).take_deferred().items():
        handler(conn, items)


# Savepoints are named after these events; they end in the opposite order of their beginnings.
def _save(conn: Connection, _name: str | None) -> None:
    raw = _hooked(conn)
    deferred = {handler: list(items) for handler, items in raw.deferred.items()}
    raw.savepoints.append((dict(raw.hooks), deferred))


def _forget(conn: Connection, _name: str, _context: None) -> None:
    _hooked(conn).savepoints.pop()


def _restore(conn: Connection, _name: str, _context: None) -> None:
    raw = _hooked(conn)
    # One whose release failed is gone; then the transaction can only be rolled back.
    raw.hooks, raw.deferred = raw.savepoints.pop() if raw.savepoints else ({}, {})
