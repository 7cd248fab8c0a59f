"""The driver's connection: callbacks after a commit, and a deadline for every answer.

Callbacks run once, right after the transaction in which they were registered commits.

SQLAlchemy's own ``commit`` event runs before the commit, so the callbacks belong to the driver's
connection: it runs them when its ``commit`` has succeeded and drops them on a rollback. A
connection that returns to its pool is rolled back, so no callback reaches the next transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.connection import _WAIT_INTERVAL
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

Hook: TypeAlias = Callable[[], None]

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
        self.savepoints: dict[str, dict[Hook, None]] = {}

    def wait(
        self, gen: PQGen[RV], interval: float = _WAIT_INTERVAL, timeout: float | None = None
    ) -> RV:
        """Wait for an answer of the server, at most ``answer_seconds``.

        Raises:
            psycopg.OperationalError: The server did not answer. What it was told may still take
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

    def _take_hooks(self) -> list[Hook]:
        hooks = list(self.hooks)
        self.hooks.clear()
        self.savepoints.clear()
        return hooks


def after_commit(conn: Connection, hook: Hook) -> None:
    """Run ``hook`` once after the current transaction commits; never if it is rolled back.

    The same hook registered twice in a transaction runs once. A hook must not use ``conn``; its
    exceptions are logged.
    """
    _hooked(conn).hooks[hook] = None


def install_commit_hooks(engine: Engine, *, answer_seconds: float | None = None) -> None:
    """Make the connections of ``engine`` support ``after_commit`` and the deadline for answers."""

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
    event.listen(engine, "savepoint", _save)
    event.listen(engine, "rollback_savepoint", _restore)


def _hooked(conn: Connection) -> HookedConnection:
    raw = conn.connection.driver_connection
    if not isinstance(raw, HookedConnection):
        raise TypeError("the engine was not made by zmart_pipelines.store.engine.engine")
    return raw


def _save(conn: Connection, name: str) -> None:
    raw = _hooked(conn)
    raw.savepoints[name] = dict(raw.hooks)


def _restore(conn: Connection, name: str, _context: None) -> None:
    raw = _hooked(conn)
    raw.hooks = dict(raw.savepoints.get(name, {}))
