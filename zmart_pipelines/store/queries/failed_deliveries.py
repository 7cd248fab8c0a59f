"""Webhook deliveries: those whose ingestion failed, and one of them with what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.chain import deliveries, events, transactions


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


class UnreadableEntry(msgspec.Struct, frozen=True):
    """An entry of a body that could not be read: its position and why."""

    position: int
    reason: str


class DeliveryRecord(msgspec.Struct, frozen=True):
    """A stored delivery.

    Attributes:
        body: As received.
        unreadable: The first of the entries that could not be read.
    """

    id: int
    source: str
    status: str
    received_at: datetime
    ingested_at: datetime | None
    transaction_count: int
    attempts: int
    error: str | None
    body: bytes
    unreadable_count: int
    unreadable: tuple[UnreadableEntry, ...]


class StoredTransaction(msgspec.Struct, frozen=True):
    """A transaction as it stands in the ledger."""

    signature: bytes
    slot: int
    commitment: str
    events: int


_EVENTS = (
    select(func.count())
    .select_from(events)
    .where(events.c.signature == transactions.c.signature, events.c.digest == transactions.c.digest)
    .scalar_subquery()
)


def delivery_record(conn: Connection, delivery_id: int) -> DeliveryRecord | None:
    """Return a delivery; None if there is none, or none any more."""
    columns = [deliveries.c[name] for name in DeliveryRecord.__struct_fields__]
    row = conn.execute(select(*columns).where(deliveries.c.id == delivery_id)).one_or_none()
    if row is None:
        return None
    unreadable = msgspec.convert(row.unreadable or (), tuple[UnreadableEntry, ...])
    return DeliveryRecord(**{**row._mapping, "unreadable": unreadable})


def stored_transactions(conn: Connection, signatures: Sequence[bytes]) -> list[StoredTransaction]:
    """Return those of these transactions that are in the ledger and count, oldest first."""
    statement = select(
        transactions.c.signature, transactions.c.slot, transactions.c.commitment, _EVENTS
    ).where(transactions.c.signature.in_(signatures), transactions.c.commitment != "orphaned")
    order = statement.order_by(transactions.c.slot, transactions.c.index_in_block)
    return [StoredTransaction(*row) for row in conn.execute(order)]


def delivery_error(conn: Connection, delivery_id: int) -> str | None:
    """Return why the last attempt of a delivery failed; None if it did not."""
    statement = select(deliveries.c.error).where(deliveries.c.id == delivery_id)
    return conn.execute(statement).scalar_one_or_none()
