"""Everything the tables know of one transaction, by its signature."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import chain, ops


class Reading(msgspec.Struct, frozen=True):
    """One reading of the transaction; several differ in what was read, at most one counts.

    Attributes:
        sources: Bits of ``zmart_pipelines.ledger.model.provenance.Source``.
        delivery_id: The webhook request that reported it first.
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
    finalized_at: datetime | None


class EventLine(msgspec.Struct, frozen=True):
    """An event of a reading; ``quarantine_reason`` is set where it could not be decoded."""

    digest: bytes
    log_index: int
    name: str | None
    market_id: bytes | None
    data: Any
    quarantine_reason: str | None
    commitment: str


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
    intent_status: str


class TransactionRecord(msgspec.Struct, frozen=True):
    """All of these for one signature; false where nothing names it."""

    signature: bytes
    readings: list[Reading]
    events: list[EventLine]
    gaps: list[NamedGap]
    hints: list[NamedHint]
    submissions: list[Submission]

    def __bool__(self) -> bool:
        return bool(self.readings or self.gaps or self.hints or self.submissions)


def transaction_record(conn: Connection, signature: bytes) -> TransactionRecord:
    """Read everything that names the transaction."""
    return TransactionRecord(
        signature=signature,
        readings=_rows(conn, Reading, chain.transactions, signature, "first_seen_at"),
        events=_rows(conn, EventLine, chain.events, signature, "log_index"),
        gaps=_rows(conn, NamedGap, chain.gaps, signature, "id"),
        hints=_rows(conn, NamedHint, chain.hints, signature, "received_at"),
        submissions=_submissions(conn, signature),
    )


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
            intents.c.status.label("intent_status"),
        )
        .join(intents, intents.c.id == attempts.c.intent_id)
        .where(attempts.c.signature == signature)
    )
    return many(Submission, conn.execute(statement))
