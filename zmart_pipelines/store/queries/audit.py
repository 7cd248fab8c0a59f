"""Pages of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.audit import audit


class AuditRow(msgspec.Struct, frozen=True):
    """What an operator did; one of ``wallet``, ``service``, ``os_user`` and ``dagster_user``."""

    id: int
    recorded_at: datetime
    entry_point: str
    wallet: bytes | None
    service: str | None
    key_id: int | None
    os_user: str | None
    dagster_user: str | None
    action: str
    subject: str | None
    reason: str
    details: dict[str, Any]


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to list; what is None does not restrict them."""

    action: str | None = None
    subject: str | None = None
    entry_point: str | None = None


NEWEST: Final = Order("audit", (KeyColumn("id", audit.c.id, True),))


def find_rows(
    conn: Connection,
    wanted: AuditFilter,
    *,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[AuditRow]:
    """Return a page of the log, newest first.

    Args:
        after: Key in ``NEWEST`` of the last row of the page before.
    """
    statement = select(audit)
    for column, value in msgspec.structs.asdict(wanted).items():
        if value is not None:
            statement = statement.where(audit.c[column] == value)
    page = NEWEST.page(statement, after=after, limit=limit, offset=offset)
    return many(AuditRow, conn.execute(page))
