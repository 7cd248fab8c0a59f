"""One transaction as the ledger knows it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import PathParameter

from api.dependencies import DatabaseDep, error_responses
from api.errors import not_found
from api.public_text import without_endpoints
from api.requests import identifiers
from zmart_pipelines.client_schemas import events as event_schemas
from zmart_pipelines.client_schemas import relayed_transactions as relayed_schemas
from zmart_pipelines.client_schemas.formats import (
    base58_signature,
    chain_time,
    iso8601,
    iso8601_or_none,
)
from zmart_pipelines.store.queries import transaction_record
from zmart_pipelines.store.queries.transaction_record import Reading, TransactionRecord


class TransactionReading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a transaction: what a source said of it.

    `digest` identifies the content: slot, outcome, logs and instructions. Readings with different
    digests contradict each other; at most one of them is not `orphaned`. `first_seen_at` is when it
    entered the ledger, `delivered_at` when the webhook delivery arrived that reported it first
    (null where a poll did, and once the delivery is no longer kept). `confirmed_at` and
    `finalized_at` are when this became known here. `superseded_reason` is what is wrong with a
    finalized reading that gave way to another. `fee` is in lamports.
    """

    digest: str
    commitment: event_schemas.Level
    slot: int
    index_in_block: int | None
    block_time: str | None
    failed: bool
    error: relayed_schemas.TransactionError | None
    fee: int | None
    sources: list[event_schemas.SourceName]
    first_seen_at: str
    delivered_at: str | None
    confirmed_at: str | None
    finalized_at: str | None
    superseded_reason: str | None


class TransactionGap(msgspec.Struct, frozen=True):
    """What is known to be missing of a transaction; open while `closed_at` is null."""

    kind: str
    reason: str
    attempts: int
    opened_at: str
    closed_at: str | None


class TransactionHint(msgspec.Struct, frozen=True):
    """What became of a webhook delivery without logs that named the transaction."""

    status: str
    attempts: int
    received_at: str


class TransactionSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt of this system that signed the transaction, and the intent that it serves.

    `run_id` is the Dagster run that signed it; null where none did.
    """

    intent_id: int
    market_id: str
    action: str
    round: int
    intent_status: str
    attempt_id: int
    attempt_status: str
    error: str | None
    run_id: str | None
    landed_slot: int | None
    signed_at: str
    sent_at: str | None
    settled_at: str | None


class TransactionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction with its events and its origin.

    `commitment`, `slot`, `failed`, `error` and the times are those of the reading that counts; of
    the last one, `orphaned`, if none does. They are null where the ledger has no reading, only
    gaps, hints or a submission. `reported_at` is null where a poll read the transaction before any
    webhook reported it.
    """

    signature: str
    commitment: event_schemas.Level | None
    slot: int | None
    block_time: str | None
    failed: bool | None
    error: relayed_schemas.TransactionError | None
    reported_at: str | None
    confirmed_at: str | None
    finalized_at: str | None
    sources: list[event_schemas.SourceName]
    readings: list[TransactionReading]
    events: list[event_schemas.Event]
    gaps: list[TransactionGap]
    hints: list[TransactionHint]
    submissions: list[TransactionSubmission]
    relayed: relayed_schemas.RelayedTransaction | None


@get(
    "/api/transactions/{signature:str}",
    tags=["ledger"],
    responses=error_responses(400, 404),
)
async def get_transaction(
    database: DatabaseDep,
    signature: Annotated[
        str, PathParameter(description="The transaction's signature, 64 bytes in base58.")
    ],
) -> TransactionDetail:
    """Get a transaction by its signature: its readings, events, gaps, submission and relay."""
    key = identifiers.signature(signature)
    record = await database.read(lambda conn: transaction_record.transaction_record(conn, key))
    if not record:
        raise not_found("Transaction")
    return _detail(record)


def _detail(record: TransactionRecord) -> TransactionDetail:
    counting = [row for row in record.readings if row.commitment != "orphaned"]
    shown = (counting or record.readings)[-1:]
    reading = _reading(shown[0]) if shown else None
    return TransactionDetail(
        signature=base58_signature(record.signature),
        commitment=reading.commitment if reading else None,
        slot=reading.slot if reading else None,
        block_time=reading.block_time if reading else None,
        failed=reading.failed if reading else None,
        error=reading.error if reading else None,
        reported_at=_reported_at(shown[0]) if shown else None,
        confirmed_at=reading.confirmed_at if reading else None,
        finalized_at=reading.finalized_at if reading else None,
        sources=reading.sources if reading else [],
        readings=[_reading(row) for row in record.readings],
        events=[event_schemas.event(row) for row in record.events],
        gaps=[
            TransactionGap(
                kind=row.kind,
                reason=without_endpoints(row.reason) or "",
                attempts=row.attempts,
                opened_at=iso8601(row.opened_at),
                closed_at=iso8601_or_none(row.closed_at),
            )
            for row in record.gaps
        ],
        hints=[
            TransactionHint(row.status, row.attempts, iso8601(row.received_at))
            for row in record.hints
        ],
        submissions=[_submission(row) for row in record.submissions],
        relayed=None
        if record.relayed is None
        else relayed_schemas.relayed_transaction(record.relayed),
    )


def _reported_at(row: Reading) -> str | None:
    """Return when a webhook reported the reading, where that was the first that was known of it."""
    return None if row.delivery_id is None else iso8601(row.delivered_at or row.first_seen_at)


def _reading(row: Reading) -> TransactionReading:
    return TransactionReading(
        digest=row.digest.hex(),
        commitment=event_schemas.level(row.commitment),
        slot=row.slot,
        index_in_block=row.index_in_block,
        block_time=chain_time(row.block_time),
        failed=row.failed,
        error=relayed_schemas.transaction_error(row.error) if row.failed else None,
        fee=row.fee,
        sources=event_schemas.source_names(row.sources),
        first_seen_at=iso8601(row.first_seen_at),
        delivered_at=iso8601_or_none(row.delivered_at),
        confirmed_at=iso8601_or_none(row.confirmed_at),
        finalized_at=iso8601_or_none(row.finalized_at),
        superseded_reason=row.superseded_reason,
    )


def _submission(row: transaction_record.Submission) -> TransactionSubmission:
    return TransactionSubmission(
        intent_id=row.intent_id,
        market_id=row.market_id.hex(),
        action=row.action,
        round=row.round,
        intent_status=row.intent_status,
        attempt_id=row.attempt_id,
        attempt_status=row.status,
        error=without_endpoints(row.error),
        run_id=row.run_id,
        landed_slot=row.landed_slot,
        signed_at=iso8601(row.signed_at),
        sent_at=iso8601_or_none(row.sent_at),
        settled_at=iso8601_or_none(row.settled_at),
    )


HANDLERS = [get_transaction]
