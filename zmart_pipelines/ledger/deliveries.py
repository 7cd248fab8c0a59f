"""Webhook deliveries: committed as received, then ingested."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, insert, select, update

from zmart_pipelines.chain.enhanced import Hint
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_helius
from zmart_pipelines.ledger import hints
from zmart_pipelines.ledger.ingest import in_transaction, ingest
from zmart_pipelines.ledger.results import IngestResult
from zmart_pipelines.ledger.sources import Commitment, Source
from zmart_pipelines.store.tables import chain

CHUNK: Final = 100
# A delivery that fails this often waits for a person; the poll brings its transactions.
MAX_ATTEMPTS: Final = 20

_deliveries = chain.deliveries


class Processed(msgspec.Struct, frozen=True):
    """What a delivery brought. ``complete``: all of its transactions are in the ledger."""

    result: IngestResult
    complete: bool


def receive(
    conn: Connection, body: bytes, *, transaction_count: int, source: str = "helius"
) -> int:
    """Store a request's body; the id of the delivery. Commit before anything else is done.

    :param transaction_count: of the body, which was read once already to be accepted.
    """
    delivery_id: int = conn.execute(
        insert(_deliveries)
        .values(
            source=source,
            body=body,
            body_sha256=sha256(body).digest(),
            transaction_count=transaction_count,
        )
        .returning(_deliveries.c.id)
    ).scalar_one()
    return delivery_id


def receive_hints(conn: Connection, body: bytes, told: Sequence[Hint]) -> tuple[int, int]:
    """Store a body without logs and queue what it names, in the caller's transaction.

    :returns: the delivery's id, and how many of the signatures were not known yet.
    """
    delivery_id = receive(conn, body, transaction_count=len(told), source="helius-enhanced")
    fresh = hints.queue(conn, told, delivery_id)
    conn.execute(
        update(_deliveries)
        .where(_deliveries.c.id == delivery_id)
        .values(status="ingested", attempts=1, ingested_at=func.now())
    )
    return delivery_id, fresh


def pending(conn: Connection, limit: int = 100) -> list[int]:
    """Deliveries that are not ingested yet and may still be tried, the oldest first."""
    return list(
        conn.execute(
            select(_deliveries.c.id)
            .where(_deliveries.c.status != "ingested", _deliveries.c.attempts < MAX_ATTEMPTS)
            .order_by(_deliveries.c.id)
            .limit(limit)
        ).scalars()
    )


def process(engine: Engine, delivery_id: int, *, program: Pubkey) -> Processed:
    """Ingest a stored delivery, ``CHUNK`` transactions at a time.

    Idempotent: what was ingested before is found there. A body that cannot be read is
    marked as failed with the reason. Errors of the database are raised, after the attempt
    was counted where that is possible.

    :raises KeyError: when there is no such delivery.
    """
    try:
        transactions = _read(engine, delivery_id, program)
    except PayloadError as error:
        _fail(engine, delivery_id, str(error))
        return Processed(IngestResult(), False)
    result = IngestResult()
    for start in range(0, max(len(transactions), 1), CHUNK):
        part = transactions[start : start + CHUNK]
        finish = start + CHUNK >= len(transactions)
        result = result.with_(
            ingest_part(engine, delivery_id, part, program=program, finish=finish)
        )
    return Processed(result, True)


def ingest_part(
    engine: Engine,
    delivery_id: int,
    part: Sequence[RawTransaction],
    *,
    program: Pubkey,
    finish: bool,
) -> IngestResult:
    """Ingest some transactions of a stored delivery, in one transaction.

    :param part: at most ``ledger.ingest.MAX_BATCH``, in the body's order.
    :param finish: these are the last; the delivery is ingested when they are.
    :raises Exception: whatever went wrong, after the attempt was counted where possible.
    """

    def work(conn: Connection) -> IngestResult:
        if finish:
            conn.execute(
                update(_deliveries)
                .where(_deliveries.c.id == delivery_id)
                .values(
                    status="ingested",
                    error=None,
                    attempts=_deliveries.c.attempts + 1,
                    ingested_at=func.now(),
                )
            )
        return ingest(
            conn,
            part,
            source=Source.WEBHOOK,
            commitment=Commitment.REPORTED,
            program=program,
            delivery_id=delivery_id,
        )

    try:
        return in_transaction(engine, work)
    except Exception as error:
        _fail(engine, delivery_id, type(error).__name__)
        raise


def _read(engine: Engine, delivery_id: int, program: Pubkey) -> list[RawTransaction]:
    with engine.connect() as conn:
        body = conn.execute(
            select(_deliveries.c.body).where(_deliveries.c.id == delivery_id)
        ).scalar_one_or_none()
    if body is None:
        raise KeyError(delivery_id)
    return from_helius(body, program)


def _fail(engine: Engine, delivery_id: int, reason: str) -> None:
    with engine.begin() as conn:
        conn.execute(
            update(_deliveries)
            .where(_deliveries.c.id == delivery_id, _deliveries.c.status != "ingested")
            .values(status="failed", error=reason, attempts=_deliveries.c.attempts + 1)
        )
