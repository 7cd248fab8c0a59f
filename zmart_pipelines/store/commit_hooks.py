"""Callbacks that run once, right after the transaction in which they were registered commits.

SQLAlchemy's own ``commit`` event runs before the commit, so the callbacks belong to the driver's
connection: it runs them when its ``commit`` has succeeded and drops them on a rollback. A
connection that returns to its pool is rolled back, so no callback reaches the next transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

Hook: TypeAlias = Callable[[], None]

_log = logging.getLogger(__name__)


class HookedConnection(psycopg.Connection[Any]):
    """A driver connection that runs its hooks after the commit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Start without hooks."""
        super().__init__(*arguments, **options)
        # Insertion order is kept, and each hook runs once however often it was registered.
        self.hooks: dict[Hook, None] = {}
        self.savepoints: dict[str, dict[Hook, None]] = {}

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


def install_commit_hooks(engine: Engine) -> None:
    """Make the connections of ``engine`` support ``after_commit``."""
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "savepoint", _save)
    event.listen(engine, "rollback_savepoint", _restore)


def _hooked(conn: Connection) -> HookedConnection:
    raw = conn.connection.driver_connection
    if not isinstance(raw, HookedConnection):
        raise TypeError("the engine was not made by zmart_pipelines.store.engine.engine")
    return raw


def _connect(
    _dialect: Dialect, _record: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]
) -> HookedConnection:
    return HookedConnection.connect(*arguments, **options)


def _save(conn: Connection, name: str) -> None:
    raw = _hooked(conn)
    raw.savepoints[name] = dict(raw.hooks)


def _restore(conn: Connection, name: str, _context: None) -> None:
    raw = _hooked(conn)
    raw.hooks = dict(raw.savepoints.get(name, {}))
