"""Webhook deliveries whose ingestion failed."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.chain import deliveries


class FailedDelivery(msgspec.Struct, frozen=True):
    """A stored delivery that could not be ingested, with the reason of the last attempt."""

    id: int
    source: str
    transaction_count: int
    attempts: int
    error: str | None
    received_at: datetime


def failed_deliveries(conn: Connection, *, limit: int = 100) -> list[FailedDelivery]:
    """Return the failed deliveries, the newest first."""
    columns = [deliveries.c[name] for name in FailedDelivery.__struct_fields__]
    statement = select(*columns).where(deliveries.c.status == "failed")
    return many(
        FailedDelivery, conn.execute(statement.order_by(deliveries.c.id.desc()).limit(limit))
    )


def delivery_error(conn: Connection, delivery_id: int) -> str | None:
    """Return why the last attempt of a delivery failed; None if it did not."""
    statement = select(deliveries.c.error).where(deliveries.c.id == delivery_id)
    return conn.execute(statement).scalar_one_or_none()
