"""Everything the tables know of one transaction, by its signature."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.events import Event, events_of_transaction
from zmart_pipelines.store.queries.relayed_transactions import (
    RelayedTransaction,
    relayed_transaction,
)
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import chain, ops


class Reading(msgspec.Struct, frozen=True):
    """One reading of the transaction; several differ in what was read, at most one counts.

    Attributes:
        sources: Bits of ``zmart_pipelines.ledger.model.provenance.Source``.
        delivery_id: The webhook request that reported it first.
        delivered_at: When that request arrived; None once it is no longer kept.
        confirmed_at: When it was first known as confirmed; None also in rows of older versions.
        superseded_reason: What is wrong with this finalized reading, which gave way to another.
    """

    digest: bytes
    slot: int
    index_in_block: int | None
    block_time: int | None
    failed: bool
    error: Any
    fee: int | None
    commitment: str
    sources: int
    delivery_id: int | None
    first_seen_at: datetime
    confirmed_at: datetime | None
    finalized_at: datetime | None
    superseded_reason: str | None
    delivered_at: datetime | None


class NamedGap(msgspec.Struct, frozen=True):
    """A gap that names the transaction; open while ``closed_at`` is None."""

    kind: str
    slot: int | None
    reason: str
    attempts: int
    opened_at: datetime
    closed_at: datetime | None


class NamedHint(msgspec.Struct, frozen=True):
    """What became of a delivery without logs that named the transaction."""

    status: str
    slot: int | None
    delivery_id: int
    attempts: int
    reason: str | None
    received_at: datetime


class Submission(msgspec.Struct, frozen=True):
    """The attempt of ours that signed the transaction, and its intent."""

    attempt_id: int
    intent_id: int
    market_id: bytes
    action: str
    status: str
    error: str | None
    run_id: str | None
    signed_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    landed_slot: int | None
    round: int
    intent_status: str


class TransactionRecord(msgspec.Struct, frozen=True):
    """All of these for one signature; false where nothing names it."""

    signature: bytes
    readings: list[Reading]
    events: list[Event]
    gaps: list[NamedGap]
    hints: list[NamedHint]
    submissions: list[Submission]
    relayed: RelayedTransaction | None

    def __bool__(self) -> bool:
        return bool(self.readings or self.gaps or self.hints or self.submissions or self.relayed)


def transaction_record(conn: Connection, signature: bytes) -> TransactionRecord:
    """Read everything that names the transaction."""
    return TransactionRecord(
        signature=signature,
        readings=_readings(conn, signature),
        events=events_of_transaction(conn, signature),
        gaps=_rows(conn, NamedGap, chain.gaps, signature, "id"),
        hints=_rows(conn, NamedHint, chain.hints, signature, "received_at"),
        submissions=_submissions(conn, signature),
        relayed=relayed_transaction(conn, signature),
    )


def _readings(conn: Connection, signature: bytes) -> list[Reading]:
    transactions, deliveries = chain.transactions, chain.deliveries
    statement = (
        select(transactions, deliveries.c.received_at.label("delivered_at"))
        .outerjoin(deliveries, deliveries.c.id == transactions.c.delivery_id)
        .where(transactions.c.signature == signature)
        .order_by(transactions.c.first_seen_at, transactions.c.digest)
    )
    return many(Reading, conn.execute(statement))


def _rows(conn: Connection, kind: Any, table: Any, signature: bytes, order: str) -> list[Any]:
    columns = [table.c[name] for name in kind.__struct_fields__]
    statement = select(*columns).where(table.c.signature == signature).order_by(table.c[order])
    return many(kind, conn.execute(statement))


def _submissions(conn: Connection, signature: bytes) -> list[Submission]:
    attempts, intents = ops.attempts, ops.intents
    statement = (
        select(
            attempts.c.id.label("attempt_id"),
            attempts.c.intent_id,
            attempts.c.market_id,
            intents.c.action,
            attempts.c.status,
            attempts.c.error,
            attempts.c.run_id,
            attempts.c.signed_at,
            attempts.c.sent_at,
            attempts.c.settled_at,
            attempts.c.landed_slot,
            intents.c.round,
            intents.c.status.label("intent_status"),
        )
        .join(intents, intents.c.id == attempts.c.intent_id)
        .where(attempts.c.signature == signature)
    )
    return many(Submission, conn.execute(statement))
