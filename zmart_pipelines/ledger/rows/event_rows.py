"""Statements that write and read transactions, events and gaps (schema ``chain``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.ledger.model.decode import LedgerEvent, Reading, event_json
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.program.events import event_name
from zmart_pipelines.store.bulk_statements import insertion
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.statement_pipeline import Statement, run
from zmart_pipelines.store.tables import chain

ReadingKey = tuple[bytes, bytes]  # signature, digest

# The webhook delivery that reported the readings: one, or one for each signature, or none.
DeliveryIds: TypeAlias = int | Mapping[bytes, int] | None


class CurrentReading(NamedTuple):
    """The stored reading of a transaction that is not orphaned; there is at most one."""

    digest: bytes
    commitment: Commitment
    sources: Source
    slot: int
    index_in_block: int | None
    block_time: int | None


_LOCK_CURRENT = """
SELECT signature, digest, commitment::text, sources, slot, index_in_block, block_time
FROM chain.transactions
WHERE signature = ANY(%b) AND commitment <> 'orphaned'
ORDER BY signature
FOR NO KEY UPDATE
"""


def lock_current_readings(
    conn: Connection, signatures: Collection[bytes]
) -> dict[bytes, CurrentReading]:
    """Return the current readings by signature; their rows are locked until the commit."""
    rows = execute(conn, _LOCK_CURRENT, list(signatures))
    return {
        row[0]: CurrentReading(row[1], Commitment(row[2]), Source(row[3]), *row[4:]) for row in rows
    }


# An orphaned reading is revived if RPC returns it again; a webhook cannot revive it.
_REVIVE_ORPHANS = """
ON CONFLICT (signature, digest) DO UPDATE SET
    commitment = excluded.commitment,
    sources = transactions.sources | excluded.sources,
    finalized_at = excluded.finalized_at,
    confirmed_at = coalesce(transactions.confirmed_at, excluded.confirmed_at),
    superseded_by = NULL,
    superseded_reason = NULL
WHERE transactions.commitment = 'orphaned' AND excluded.commitment >= 'confirmed'
RETURNING signature, xmax = 0
"""


_TRANSACTION_COLUMNS = (
    "signature",
    "digest",
    "slot",
    "index_in_block",
    "block_time",
    "failed",
    "error",
    "fee",
    "logs",
    "logs_truncated",
    "instructions",
    "commitment",
    "sources",
    "delivery_id",
    "finalized_at",
    "confirmed_at",
)


def insert_transactions_statement(
    readings: Iterable[Reading],
    *,
    source: Source,
    commitment: Commitment,
    delivery_ids: DeliveryIds,
) -> Statement:
    """Build the statement that stores readings, at least one.

    It returns the signature of each reading that was stored or revived, and whether it is new
    (otherwise: revived). Readings absent from the answer were stored by another writer in the
    meantime, or are orphans that only a webhook reports.
    """
    now = datetime.now(UTC)
    finalized_at = now if commitment is Commitment.FINALIZED else None
    confirmed_at = now if commitment.rank >= Commitment.CONFIRMED.rank else None
    by_signature = delivery_ids if isinstance(delivery_ids, Mapping) else None
    rows = [
        (
            reading.signature,
            reading.digest,
            reading.slot,
            reading.index_in_block,
            reading.block_time,
            reading.failed,
            reading.error,
            reading.fee,
            reading.logs,
            reading.logs_truncated,
            reading.instructions,
            commitment.value,
            int(source),
            delivery_ids if by_signature is None else by_signature[reading.signature],
            finalized_at,
            confirmed_at,
        )
        for reading in sorted(readings, key=lambda reading: reading.signature)
    ]
    return insertion(chain.transactions, _TRANSACTION_COLUMNS, rows, _REVIVE_ORPHANS)


def insert_transactions(
    conn: Connection,
    readings: Collection[Reading],
    *,
    source: Source,
    commitment: Commitment,
    delivery_ids: DeliveryIds,
) -> dict[bytes, bool]:
    """Store readings; return by signature whether it is new, or else revived.

    See ``insert_transactions_statement``.
    """
    if not readings:
        return {}
    statement = insert_transactions_statement(
        readings, source=source, commitment=commitment, delivery_ids=delivery_ids
    )
    return {row[0]: row[1] for row in run(conn, statement)}


_EVENT_COLUMNS = (
    "signature",
    "log_index",
    "digest",
    "slot",
    "index_in_block",
    "name",
    "market_id",
    "raw",
    "data",
    "instruction",
    "quarantine_reason",
    "commitment",
)


def insert_events_statement(
    readings: Iterable[Reading],
    *,
    commitment: Commitment,
    market_ids: Mapping[bytes, bytes],
) -> Statement | None:
    """Build the statement that stores the events of new readings; None if there are none.

    Args:
        market_ids: market ids by address, for claims, which name only the address.
    """
    rows = [
        _event_row(reading, event, commitment.value, market_ids)
        for reading in readings
        for event in reading.events
    ]
    return insertion(chain.events, _EVENT_COLUMNS, rows) if rows else None


def _event_row(
    reading: Reading, event: LedgerEvent, commitment: str, market_ids: Mapping[bytes, bytes]
) -> tuple[object, ...]:
    decoded = event.event
    market_id = event.market_id
    if market_id is None and event.market is not None:
        market_id = market_ids.get(event.market)
    return (
        reading.signature,
        event.log_index,
        reading.digest,
        reading.slot,
        reading.index_in_block,
        None if decoded is None else event_name(decoded),
        market_id,
        event.raw,
        None if decoded is None else event_json(decoded).decode(),
        event.instruction,
        event.quarantine_reason,
        commitment,
    )


_OPEN_GAPS = """
INSERT INTO chain.gaps (signature, kind, slot, reason)
SELECT * FROM unnest(%b::bytea[], %b::text[], %b::int8[], %b::text[])
ON CONFLICT (signature, kind) WHERE closed_at IS NULL
DO UPDATE SET reason = excluded.reason,
    attempts = gaps.attempts + (gaps.retry_at <= now())::int,
    retry_at = CASE WHEN gaps.retry_at > now() THEN gaps.retry_at ELSE now()
        + least(interval '1 hour', interval '5 seconds' * 2 ^ least(gaps.attempts, 12)) END
"""

_POSTPONE_GAPS = """
UPDATE chain.gaps AS g SET attempts = g.attempts + 1,
    retry_at = now() + least(interval '1 hour', interval '5 seconds' * 2 ^ least(g.attempts, 12))
WHERE id = ANY(%b::int8[]) AND closed_at IS NULL AND retry_at <= now()
"""

_CLOSE_GAPS = """
UPDATE chain.gaps SET closed_at = now()
WHERE signature = ANY(%b) AND kind = ANY(%b) AND closed_at IS NULL
"""


class Gap(msgspec.Struct, frozen=True):
    """Something that the ledger is known to lack (kinds: ``store.tables.chain.gaps``)."""

    signature: bytes
    kind: str
    slot: int | None
    reason: str


def open_gaps_statement(gaps: Iterable[Gap]) -> Statement | None:
    """Build the statement that records gaps; None if there are none.

    A gap that is open already and due counts another attempt, and its next retry is later.
    """
    rows = sorted(
        {(gap.signature, gap.kind): gap for gap in gaps}.values(),
        key=lambda gap: (gap.signature, gap.kind),
    )
    if not rows:
        return None
    return Statement(
        _OPEN_GAPS,
        (
            [gap.signature for gap in rows],
            [gap.kind for gap in rows],
            [gap.slot for gap in rows],
            [gap.reason for gap in rows],
        ),
    )


def open_gaps(conn: Connection, gaps: Iterable[Gap]) -> None:
    """Record gaps; see ``open_gaps_statement``."""
    statement = open_gaps_statement(gaps)
    if statement is not None:
        run(conn, statement)


def postpone_gaps(conn: Connection, ids: Collection[int]) -> None:
    """Count an attempt for those of these gaps that are still open and due."""
    execute(conn, _POSTPONE_GAPS, list(ids))


def close_gaps(conn: Connection, signatures: Collection[bytes], kinds: Collection[str]) -> None:
    """Close the open gaps of these transactions that are of these kinds."""
    if signatures:
        execute(conn, _CLOSE_GAPS, list(signatures), list(kinds))
