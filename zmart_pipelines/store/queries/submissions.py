"""Submission intents and their attempts, as the UI, the CLI and the checks show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.markets import MATCHED, QUESTION
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import community, market, ops

OPEN = ("planned", "live")

_intents = ops.intents
_attempts = ops.attempts


class Intent(msgspec.Struct, frozen=True):
    """What must become true on chain, with the market's question where it is known."""

    id: int
    market_id: bytes
    question: str | None
    action: str
    round: int
    arguments: dict[str, Any]
    bundle_cid: str | None
    status: str
    reason: str | None
    failures: int
    retry_at: datetime
    epoch: int
    created_at: datetime
    updated_at: datetime


def intents(
    conn: Connection,
    *,
    statuses: Sequence[str] | None = None,
    market_id: bytes | None = None,
    limit: int = 1000,
) -> list[Intent]:
    """Return intents, oldest first."""
    statement = select(_intents, QUESTION.label("question")).select_from(
        _intents.outerjoin(
            market.markets, market.markets.c.market_id == _intents.c.market_id
        ).outerjoin(community.market_drafts, MATCHED)
    )
    if statuses is not None:
        statement = statement.where(_intents.c.status.in_(statuses))
    if market_id is not None:
        statement = statement.where(_intents.c.market_id == market_id)
    return many(Intent, conn.execute(statement.order_by(_intents.c.id).limit(limit)))


def open_intents(conn: Connection, *, limit: int = 1000) -> list[Intent]:
    """Return intents that are planned or live, oldest first."""
    return intents(conn, statuses=OPEN, limit=limit)


class Attempt(msgspec.Struct, frozen=True):
    """One signed transaction that tried, without its bytes."""

    id: int
    intent_id: int
    market_id: bytes
    signature: bytes
    status: str
    sends: int
    last_valid_block_height: int
    landed_slot: int | None
    fee: int | None
    compute_units: int | None
    error: str | None
    run_id: str | None
    signed_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None


def attempts(conn: Connection, *, intent_id: int | None = None, limit: int = 1000) -> list[Attempt]:
    """Return the attempts of an intent, or all; newest first."""
    columns = [_attempts.c[name] for name in Attempt.__struct_fields__]
    statement = select(*columns)
    if intent_id is not None:
        statement = statement.where(_attempts.c.intent_id == intent_id)
    return many(Attempt, conn.execute(statement.order_by(_attempts.c.id.desc()).limit(limit)))


def counts_by_status(conn: Connection) -> dict[str, int]:
    """Return the number of intents by status."""
    rows = conn.execute(select(_intents.c.status, func.count()).group_by(_intents.c.status))
    return {row[0]: row[1] for row in rows}
