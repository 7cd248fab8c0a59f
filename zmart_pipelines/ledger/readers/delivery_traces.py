"""The trace of a webhook delivery: its first span from the API, one for each ingest of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import sha256

from sqlalchemy import Engine, select

from zmart_pipelines import tracing
from zmart_pipelines.store.tables.chain import deliveries
from zmart_pipelines.tracing import SpanKey


def record_delivery(
    delivery_id: int, body: bytes, started_ns: int, *, transactions: int, pending: bool
) -> None:
    """Export the first span: from the request until it was answered.

    Args:
        delivery_id: The row.
        body: As received.
        started_ns: When the body was there, in nanoseconds since 1970.
        transactions: In the body.
        pending: Whether a part of them is ingested after the answer.
    """
    tracing.record(
        "webhook delivery",
        _key(delivery_id, sha256(body).digest()),
        started_ns,
        delivery_id=delivery_id,
        transactions=transactions,
        pending=pending,
    )


def ingesting(engine: Engine, delivery_ids: Sequence[int]) -> AbstractContextManager[None]:
    """Measure the ingest of parts of these deliveries, in the trace of the first of them.

    The spans of the others are linked to it.
    """
    if not tracing.is_on():
        return tracing.span("ledger ingest")
    with engine.connect() as conn:
        rows = conn.execute(
            select(deliveries.c.id, deliveries.c.body_sha256).where(
                deliveries.c.id.in_(delivery_ids)
            )
        ).all()
    keys = {row.id: _key(row.id, row.body_sha256) for row in rows}
    found = [keys[one] for one in delivery_ids if one in keys]
    return tracing.span(
        "ledger ingest",
        parent=found[0] if found else None,
        links=found[1:],
        deliveries=len(delivery_ids),
    )


def _key(delivery_id: int, body_sha256: bytes) -> SpanKey:
    return tracing.derive("delivery", delivery_id, body_sha256)
