"""Rows of ``ops.intents``: what must become true on chain."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Float, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.store.tables.ops import intents as table
from zmart_pipelines.structured_logs import bound
from zmart_pipelines.submissions import intent_traces
from zmart_pipelines.submissions.lease import Lease, LeaseLost
from zmart_pipelines.submissions.statuses import Action, IntentStatus

# Topic of the alerts of intents that did not become final.
ALERT_TOPIC = "submission"

_log = logging.getLogger(__name__)

_OPEN = ("planned", "live")
_COLUMNS = (
    table,
    func.extract("epoch", table.c.retry_at - func.clock_timestamp())
    .cast(Float(53))
    .label("due_in"),
)


class Intent(msgspec.Struct, frozen=True):
    """One row: an action on a market with its arguments, e.g. ``{"likes": 11, "dislikes": 1}``.

    ``due_at``: when its decision became due. ``due_in``: seconds until it may be tried, 0 or less:
    now. Both by the database's clock.
    """

    id: int
    market_id: bytes
    action: Action
    round: int
    arguments: dict[str, Any]
    bundle_cid: str | None
    status: IntentStatus
    reason: str | None
    failures: int
    due_at: datetime
    created_at: datetime
    due_in: float


def create(
    conn: Connection,
    *,
    market_id: bytes,
    action: Action,
    round_number: int,
    arguments: Mapping[str, int | str],
    bundle_cid: str | None = None,
    due_at: datetime | None = None,
) -> Intent | None:
    """Insert an intent; None when this market, action and round already has one.

    Args:
        conn: The transaction.
        market_id: The market to act on.
        action: The action.
        round_number: Round of the tally or the resolution.
        arguments: Arguments of the instruction.
        bundle_cid: CID of the tally's bundle.
        due_at: When the decision became due, by the database's clock; by default now.
    """
    row = conn.execute(
        insert(table)
        .values(
            market_id=market_id,
            action=action,
            round=round_number,
            arguments=dict(arguments),
            bundle_cid=bundle_cid,
            # Least ignores null. The clock can have been set back since the decision was due.
            due_at=func.least(due_at, func.now()),
        )
        .on_conflict_do_nothing(index_elements=["market_id", "action", "round"])
        .returning(*_COLUMNS)
    ).one_or_none()
    created = None if row is None else _intent(row)
    if created is not None:
        with bound(intent_id=created.id):
            _log.info("%s of market %s is planned", action, market_id.hex())
        intent_traces.record_decision(conn, created)
    return created


def get(conn: Connection, intent_id: int) -> Intent:
    """Return one intent by its id."""
    return _intent(conn.execute(select(*_COLUMNS).where(table.c.id == intent_id)).one())


def latest(conn: Connection, market_id: bytes, action: Action) -> Intent | None:
    """Return the intent of the highest round of this market and action, if any."""
    row = conn.execute(
        select(*_COLUMNS)
        .where(table.c.market_id == market_id, table.c.action == action)
        .order_by(table.c.round.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _intent(row)


def claim_for_epoch(conn: Connection, lease: Lease) -> None:
    """Set the lease's epoch on the open intents, in a fenced transaction."""
    conn.execute(
        update(table)
        .where(table.c.status.in_(_OPEN), table.c.epoch < lease.epoch)
        .values(epoch=lease.epoch)
    )


def open_intents(conn: Connection) -> list[Intent]:
    """Return planned and live intents, oldest first."""
    rows = conn.execute(
        select(*_COLUMNS).where(table.c.status.in_(_OPEN)).order_by(table.c.id)
    ).all()
    return [_intent(row) for row in rows]


def update_open(
    conn: Connection,
    lease: Lease,
    intent: Intent,
    status: IntentStatus,
    *,
    reason: str | None = None,
    failures: int | None = None,
    delay: float = 0.0,
) -> None:
    """Set the status of an open intent, in a fenced transaction.

    Args:
        conn: The transaction.
        lease: The lease of this submitter.
        intent: The intent.
        status: The new status.
        reason: Why.
        failures: The new count of failures; None: unchanged.
        delay: Seconds until it is due again.

    Raises:
        LeaseLost: The row has another epoch or is not open.
    """
    changed = conn.execute(
        update(table)
        .where(table.c.id == intent.id, table.c.epoch == lease.epoch, table.c.status.in_(_OPEN))
        .values(
            status=status,
            reason=reason,
            failures=intent.failures if failures is None else failures,
            retry_at=func.clock_timestamp() + timedelta(seconds=delay),
            updated_at=func.clock_timestamp(),
        )
    )
    if changed.rowcount != 1:
        raise LeaseLost(f"intent {intent.id} no longer belongs to epoch {lease.epoch}")


def supersede_approval(conn: Connection, intent: Intent, reason: str) -> None:
    """Supersede the approval planned with an aggregation that can never become true."""
    conn.execute(
        update(table)
        .where(
            table.c.market_id == intent.market_id,
            table.c.action == "approve_proposal",
            table.c.round == intent.round,
            table.c.status == "planned",
        )
        .values(status="superseded", reason=reason, updated_at=func.clock_timestamp())
    )


def alert_key(intent: Intent) -> AlertKey:
    """Return the key of the alert of an intent that did not become final."""
    return _alert_key(intent.market_id, intent.id)


def alert_keys(conn: Connection, intent: Intent) -> list[AlertKey]:
    """Return the alert keys of all intents of the same market and action, raised or not."""
    ids = select(table.c.id).where(
        table.c.market_id == intent.market_id, table.c.action == intent.action
    )
    return [_alert_key(intent.market_id, intent_id) for intent_id in conn.execute(ids).scalars()]


def _alert_key(market_id: bytes, intent_id: int) -> AlertKey:
    return AlertKey(ALERT_TOPIC, market_id, str(intent_id))


def _intent(row: Row[Any]) -> Intent:
    return Intent(**{name: getattr(row, name) for name in Intent.__struct_fields__})
