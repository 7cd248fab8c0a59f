"""The trace of an intent: its decision, its attempts, and of each the landing and the finality.

Several runs may drive one intent. Each records what it saw, under ids that are derived from the
rows, so that all of it is one trace.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, select

from zmart_pipelines import base58, tracing
from zmart_pipelines.store.commit_hooks import after_commit
from zmart_pipelines.store.tables.ops import attempts as table
from zmart_pipelines.submissions import messages
from zmart_pipelines.tracing import SpanKey

if TYPE_CHECKING:
    from zmart_pipelines.submissions.attempts import Attempt
    from zmart_pipelines.submissions.driven_intent import DrivenIntent
    from zmart_pipelines.submissions.intents import Intent


def record_decision(conn: Connection, intent: Intent) -> None:
    """Export the first span of an intent that this transaction creates, once it has committed.

    It lasts from the moment at which the decision became due.
    """
    if not tracing.is_on():
        return
    run = tracing.current()
    links = () if run is None else (run,)

    def export() -> None:
        tracing.record(
            "submission intent",
            _intent_key(intent),
            _nanoseconds(intent.due_at),
            links=links,
            intent_id=intent.id,
            action=intent.action,
            market=intent.market_id.hex(),
            round=intent.round,
        )

    after_commit(conn, export)


def step(driven: DrivenIntent, name: str) -> AbstractContextManager[None]:
    """Measure a step of driving, such as a simulation or a sending."""
    if not tracing.is_on():
        return tracing.span(name)
    intent = _intent_key(driven.intent)
    attempt = driven.attempt
    parent = intent if attempt is None else _attempt_key(intent, attempt)
    return tracing.span(name, parent=parent, action=driven.intent.action)


def record_effect(engine: Engine, driven: DrivenIntent, effect: messages.Effect) -> None:
    """Export what has ended with an effect that is stored."""
    if not tracing.is_on() or driven.attempt is None:
        return
    match effect:
        case messages.MarkLanded(slot=slot):
            driven.landed_ns = time.time_ns()
            _record_landing(engine, driven.intent, driven.attempt, slot)
        case messages.MarkDead():
            _record_attempt(engine, driven.intent, driven.attempt, "dead")
        case messages.Settle(attempt=status) if status is not None:
            if status == "final":
                _record_finality(engine, driven)
            _record_attempt(engine, driven.intent, driven.attempt, status)


def _record_landing(engine: Engine, intent: Intent, attempt: Attempt, slot: int) -> None:
    key = _attempt_key(_intent_key(intent), attempt)
    signed, sent = _times(engine, attempt)
    tracing.record(
        "transaction confirmed",
        _landing_key(key, slot),
        sent or signed,
        parent=key,
        slot=slot,
        intent_id=intent.id,
        signature=base58.encode(attempt.signature),
    )


def _record_finality(engine: Engine, driven: DrivenIntent) -> None:
    key = _attempt_key(_intent_key(driven.intent), driven.live)
    slot = driven.state.landed_slot
    started = driven.landed_ns
    if started is None:
        # It landed in an earlier run.
        signed, sent = _times(engine, driven.live)
        started = sent or signed
    tracing.record(
        "transaction final",
        tracing.child_of(key, "final"),
        started,
        parent=_landing_key(key, slot),
        slot=slot,
        intent_id=driven.intent.id,
        signature=base58.encode(driven.live.signature),
    )


def _record_attempt(engine: Engine, intent: Intent, attempt: Attempt, status: str) -> None:
    parent = _intent_key(intent)
    run = tracing.current()
    tracing.record(
        "submission attempt",
        _attempt_key(parent, attempt),
        _times(engine, attempt)[0],
        parent=parent,
        links=() if run is None else (run,),
        is_error=status != "final",
        status=status,
        intent_id=intent.id,
        signature=base58.encode(attempt.signature),
    )


def _times(engine: Engine, attempt: Attempt) -> tuple[int, int | None]:
    """Return when it was signed and first sent, in nanoseconds since 1970."""
    with engine.connect() as conn:
        row = conn.execute(
            select(table.c.signed_at, table.c.sent_at).where(table.c.id == attempt.id)
        ).one()
    return _nanoseconds(row.signed_at), None if row.sent_at is None else _nanoseconds(row.sent_at)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def _intent_key(intent: Intent) -> SpanKey:
    created = intent.created_at.astimezone(UTC).isoformat()
    return tracing.derive(
        "intent", intent.id, intent.market_id, intent.action, intent.round, created
    )


def _attempt_key(intent: SpanKey, attempt: Attempt) -> SpanKey:
    return tracing.child_of(intent, "attempt", attempt.signature)


def _landing_key(attempt: SpanKey, slot: int) -> SpanKey:
    return tracing.child_of(attempt, "landing", slot)
