"""Submission intents and their attempts, as the UI, the CLI and the checks show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select, true

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
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
    due_at: datetime
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


class IntentSummary(Intent, frozen=True):
    """An intent with what its attempts say together.

    Attributes:
        attempts: How many transactions were signed for it.
        signature: Of the attempt that is final, else of the last one.
        landed_slot: Of that attempt.
        fees: Lamports of all attempts that landed.
        final_at: When its final attempt was seen as final.
    """

    attempts: int
    signature: bytes | None
    landed_slot: int | None
    fees: int
    final_at: datetime | None


NEWEST: Final = Order("intents", (KeyColumn("id", _intents.c.id, True),))


class IntentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which intents to list; what is None or empty does not restrict them."""

    intent_id: int | None = None
    market_id: bytes | None = None
    actions: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


def find_intents(
    conn: Connection,
    wanted: IntentFilter,
    *,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[IntentSummary]:
    """Return a page of intents, newest first.

    Args:
        after: Key in ``NEWEST`` of the last intent of the page before.
    """
    page = NEWEST.page(
        select(_intents).where(*_conditions(wanted)), after=after, limit=limit, offset=offset
    ).subquery()
    of_intent = _attempts.c.intent_id == page.c.id
    totals = (
        select(
            func.count().label("attempts"),
            func.coalesce(func.sum(_attempts.c.fee), 0).label("fees"),
            func.max(_attempts.c.settled_at)
            .filter(_attempts.c.status == "final")
            .label("final_at"),
        )
        .where(of_intent)
        .lateral()
    )
    last = (
        select(_attempts.c.signature, _attempts.c.landed_slot)
        .where(of_intent)
        .order_by((_attempts.c.status == "final").desc(), _attempts.c.id.desc())
        .limit(1)
        .lateral()
    )
    statement = (
        select(
            page,
            QUESTION.label("question"),
            totals.c.attempts,
            totals.c.fees,
            totals.c.final_at,
            last.c.signature,
            last.c.landed_slot,
        )
        .select_from(
            page.outerjoin(market.markets, market.markets.c.market_id == page.c.market_id)
            .outerjoin(community.market_drafts, MATCHED)
            .join(totals, true())
            .outerjoin(last, true())
        )
        .order_by(page.c.id.desc())
    )
    return many(IntentSummary, conn.execute(statement))


def _conditions(wanted: IntentFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.intent_id is not None:
        where.append(_intents.c.id == wanted.intent_id)
    if wanted.market_id is not None:
        where.append(_intents.c.market_id == wanted.market_id)
    if wanted.actions:
        where.append(_intents.c.action.in_(wanted.actions))
    if wanted.statuses:
        where.append(_intents.c.status.in_(wanted.statuses))
    return where


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
