"""Webhook deliveries: committed as received, then ingested."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, insert, null, select, update

from zmart_pipelines.chain.delivery_entries import UnreadableEntry, parse_delivery
from zmart_pipelines.chain.helius_enhanced import Hint
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import delivery_traces, hints
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import chain
from zmart_pipelines.structured_logs import bound

# Transactions ingested in one database transaction.
CHUNK_SIZE: Final = 100
# A delivery that fails this often is left to operators; the poll reads its transactions.
MAX_ATTEMPTS: Final = 20
# Unreadable entries of a delivery whose reasons are kept; the body holds all of them.
MAX_REASONS: Final = 100

_log = logging.getLogger(__name__)
_deliveries = chain.deliveries


class ProcessedDelivery(msgspec.Struct, frozen=True):
    """What a delivery changed.

    Attributes:
        complete: whether all of its transactions are in the ledger.
    """

    result: IngestResult
    complete: bool


class DeliveryPart(msgspec.Struct, frozen=True):
    """Consecutive transactions of a stored delivery, in the body's order.

    Attributes:
        last: whether the body ends with them.
        request_id: of the request that brought them, for the log.
    """

    delivery_id: int
    transactions: Sequence[RawTransaction]
    last: bool
    request_id: str | None = None


_MARK_INGESTED = """
UPDATE chain.deliveries SET status = 'ingested', error = NULL, attempts = attempts + 1,
    ingested_at = now()
WHERE id = ANY(%b)
"""

_NEW_EVENTS_BY_DELIVERY = """
SELECT t.delivery_id, count(*)
FROM chain.transactions AS t JOIN chain.events AS e USING (signature, digest)
WHERE t.delivery_id = ANY(%b) AND t.signature = ANY(%b)
GROUP BY t.delivery_id
"""


def store_delivery(
    conn: Connection,
    body: bytes,
    *,
    transaction_count: int,
    source: str = "helius",
    unreadable: Sequence[UnreadableEntry] = (),
) -> int:
    """Store a request's body; return the delivery's id. Commit before doing anything else.

    Args:
        transaction_count: transactions in the body, counted when it was accepted.
        unreadable: entries that are in the body, but cannot be read.
    """
    first = [msgspec.to_builtins(entry) for entry in unreadable[:MAX_REASONS]]
    delivery_id: int = conn.execute(
        insert(_deliveries)
        .values(
            source=source,
            body=body,
            body_sha256=sha256(body).digest(),
            transaction_count=transaction_count,
            unreadable_count=len(unreadable),
            unreadable=first or null(),
        )
        .returning(_deliveries.c.id)
    ).scalar_one()
    return delivery_id


def store_hint_delivery(
    conn: Connection,
    body: bytes,
    named: Sequence[Hint],
    *,
    unreadable: Sequence[UnreadableEntry] = (),
) -> tuple[int, int]:
    """Store a body without logs and enqueue the hints in it, in the caller's transaction.

    Args:
        named: transactions to read by RPC.
        unreadable: entries that are in the body, but cannot be read.

    Returns:
        The delivery's id, and how many of the signatures were not known yet.
    """
    delivery_id = store_delivery(
        conn,
        body,
        transaction_count=len(named),
        source="helius-enhanced",
        unreadable=unreadable,
    )
    enqueued = hints.enqueue_hints(conn, named, delivery_id)
    conn.execute(
        update(_deliveries)
        .where(_deliveries.c.id == delivery_id)
        .values(status="ingested", attempts=1, ingested_at=func.now())
    )
    return delivery_id, enqueued


def pending_deliveries(conn: Connection, limit: int = 100) -> list[int]:
    """Return the ids of deliveries to ingest or retry, the oldest first."""
    return list(
        conn.execute(
            select(_deliveries.c.id)
            .where(_deliveries.c.status != "ingested", _deliveries.c.attempts < MAX_ATTEMPTS)
            .order_by(_deliveries.c.id)
            .limit(limit)
        ).scalars()
    )


def process_delivery(engine: Engine, delivery_id: int, *, program: Pubkey) -> ProcessedDelivery:
    """Ingest a stored delivery, ``CHUNK_SIZE`` transactions at a time.

    Idempotent. A body that cannot be read is marked as failed with the reason. Errors of the
    database are raised, after the attempt was counted if that is possible.

    Raises:
        KeyError: there is no such delivery.
    """
    try:
        transactions = _read_transactions(engine, delivery_id, program)
    except PayloadError as error:
        _record_failure(engine, delivery_id, str(error))
        return ProcessedDelivery(IngestResult(), False)
    result = IngestResult()
    for start in range(0, max(len(transactions), 1), CHUNK_SIZE):
        chunk = transactions[start : start + CHUNK_SIZE]
        part = DeliveryPart(delivery_id, chunk, last=start + CHUNK_SIZE >= len(transactions))
        result = result.merge(ingest_parts(engine, [part], program=program)[0])
    return ProcessedDelivery(result, True)


def ingest_parts(
    engine: Engine, parts: Sequence[DeliveryPart], *, program: Pubkey
) -> tuple[IngestResult, dict[int, int]]:
    """Ingest parts of stored deliveries in one transaction.

    If several deliveries report the same transaction, the first report counts, as if they had
    been ingested one after the other.

    Args:
        parts: of different deliveries, at most ``ingest.writer.MAX_BATCH`` transactions.

    Returns:
        What changed, and how many new events each delivery contributed.

    Raises:
        Exception: any error, after the attempt was counted if that is possible.
    """
    reported: dict[bytes, RawTransaction] = {}
    delivery_ids: dict[bytes, int] = {}
    for part in parts:
        for transaction in part.transactions:
            signature = transaction.signature
            reported.setdefault(signature, transaction)
            delivery_ids.setdefault(signature, part.delivery_id)
    finished = [part.delivery_id for part in parts if part.last]

    def work(conn: Connection) -> IngestResult:
        if finished:
            execute(conn, _MARK_INGESTED, finished)
        return ingest(
            conn,
            list(reported.values()),
            source=Source.WEBHOOK,
            commitment=Commitment.REPORTED,
            program=program,
            delivery_ids=delivery_ids,
        )

    try:
        with delivery_traces.ingesting(engine, [part.delivery_id for part in parts]):
            result = run_in_transaction(engine, work)
            _log_ingest(parts, result)
    except Exception as error:
        for part in parts:
            _record_failure(engine, part.delivery_id, type(error).__name__)
        raise
    if len(parts) == 1 or not result.new_events:
        return result, {part.delivery_id: result.new_events for part in parts}
    return result, _new_events_by_delivery(engine, parts, list(reported))


def _log_ingest(parts: Sequence[DeliveryPart], result: IngestResult) -> None:
    """Log one line for each commit, with the ids by which it is found."""
    if not _log.isEnabledFor(logging.INFO):
        return
    transactions = [one for part in parts for one in part.transactions]
    with bound(
        delivery_ids=[part.delivery_id for part in parts],
        request_ids=[part.request_id for part in parts if part.request_id is not None],
        signatures=[transaction.signature_text for transaction in transactions],
        market_ids=sorted(market.hex() for market in result.markets),
    ):
        _log.info(
            "ingested %d transactions of webhooks: %d new events, %d markets materialized",
            len(transactions),
            result.new_events,
            len(result.markets),
        )


def _new_events_by_delivery(
    engine: Engine, parts: Sequence[DeliveryPart], signatures: list[bytes]
) -> dict[int, int]:
    """Count new events by delivery; a transaction keeps the delivery that reported it first."""
    counts = {part.delivery_id: 0 for part in parts}
    with engine.connect() as conn:
        rows = execute(conn, _NEW_EVENTS_BY_DELIVERY, list(counts), signatures).all()
    return counts | {row[0]: row[1] for row in rows}


def _read_transactions(engine: Engine, delivery_id: int, program: Pubkey) -> list[RawTransaction]:
    with engine.connect() as conn:
        body = conn.execute(
            select(_deliveries.c.body).where(_deliveries.c.id == delivery_id)
        ).scalar_one_or_none()
    if body is None:
        raise KeyError(delivery_id)
    return list(parse_delivery(body, program).transactions)


def _record_failure(engine: Engine, delivery_id: int, reason: str) -> None:
    with engine.begin() as conn:
        conn.execute(
            update(_deliveries)
            .where(_deliveries.c.id == delivery_id, _deliveries.c.status != "ingested")
            .values(status="failed", error=reason, attempts=_deliveries.c.attempts + 1)
        )
