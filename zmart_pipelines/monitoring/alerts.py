"""Alerts: one open row per condition, raised once however often it is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, Connection, func, literal_column, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.store.tables.ops import alerts


def raise_alert(
    conn: Connection,
    key: str,
    severity: Severity,
    message: str,
    detail: Mapping[str, Any] | None = None,
) -> bool:
    """Raise the alert ``key`` unless it is open; then only bring its text up to date.

    Returns whether it is new. Committed by the caller.
    """
    values = {"severity": severity, "message": message, "detail": dict(detail or {})}
    statement = (
        insert(alerts)
        .values(key=key, **values)
        .on_conflict_do_update(
            index_elements=["key"], index_where=alerts.c.cleared_at.is_(None), set_=values
        )
        .returning(literal_column("xmax = 0", Boolean))  # a row that this statement inserted
    )
    return bool(conn.execute(statement).scalar_one())


def clear_alert(conn: Connection, key: str) -> bool:
    """Close the open alert ``key``. Returns whether there was one."""
    statement = (
        update(alerts)
        .where(alerts.c.key == key, alerts.c.cleared_at.is_(None))
        .values(cleared_at=func.now())
    )
    return conn.execute(statement).rowcount > 0
