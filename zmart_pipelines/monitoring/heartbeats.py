"""Heartbeats: one row per service with what it last finished and its last error.

They are shown; the health of a service is measured by its work (``monitoring.work_health``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.tables.ops import heartbeats

MAX_ERROR = 2000

# Its last success is the start of the system: ``zmart migrate`` runs before all processes.
START = "migrate"


def record_heartbeat(
    conn: Connection,
    service: str,
    detail: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """Record one finished piece of work of ``service``, or a failure with its text.

    ``detail`` (JSON values) replaces the stored one; without it the stored one stays. The text
    of an error is stored and shown, so it must not contain a secret. The caller commits.
    """
    now = func.now()
    values: dict[str, Any] = {"service": service, "last_attempt_at": now}
    if detail is not None:
        values["detail"] = dict(detail)
    if error is None:
        values["last_success_at"] = now
    else:
        values |= {"last_error": error[:MAX_ERROR], "last_error_at": now}
    statement = insert(heartbeats).values(values)
    conn.execute(statement.on_conflict_do_update(index_elements=["service"], set_=values))


def recent_detail(conn: Connection, service: str, age: timedelta) -> Mapping[str, Any] | None:
    """Return the detail of a service whose last success is no older; None where it is."""
    row = heartbeats.c
    found: Mapping[str, Any] | None = conn.execute(
        select(row.detail).where(row.service == service, row.last_success_at > func.now() - age)
    ).scalar_one_or_none()
    return found
