"""Rows of ``ops.attempts``: signed transactions, stored before they are first sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.tables.ops import attempts as table
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.lease import Lease, LeaseLost
from zmart_pipelines.submissions.signing import SignedTransaction
from zmart_pipelines.submissions.statuses import AttemptStatus

_LIVE = ("signed", "sent", "landed")
# The predicate of uq_attempts_live in literals, because parameters would not match the index.
_LIVE_INDEX = text("status IN ('signed', 'sent', 'landed')")


class Attempt(msgspec.Struct, frozen=True):
    """One row. ``fee`` in lamports; ``compute_units`` is the limit until it has landed."""

    id: int
    intent_id: int
    market_id: bytes
    signature: bytes
    transaction: bytes
    blockhash: str
    last_valid_block_height: int
    status: AttemptStatus
    sends: int
    landed_slot: int | None
    fee: int | None
    compute_units: int | None
    error: str | None


def create(
    conn: Connection,
    lease: Lease,
    intent: Intent,
    signed: SignedTransaction,
    *,
    run_id: str | None,
) -> Attempt | None:
    """Store a signed attempt in a fenced transaction; None when the market has a live one."""
    row = conn.execute(
        insert(table)
        .values(
            intent_id=intent.id,
            market_id=intent.market_id,
            signature=signed.signature,
            transaction=signed.transaction,
            blockhash=signed.blockhash,
            last_valid_block_height=signed.last_valid_block_height,
            fee=signed.fee,
            epoch=lease.epoch,
            run_id=run_id,
        )
        .on_conflict_do_nothing(index_elements=["market_id"], index_where=_LIVE_INDEX)
        .returning(table)
    ).one_or_none()
    return None if row is None else _attempt(row)


def claim_for_epoch(conn: Connection, lease: Lease) -> None:
    """Set the lease's epoch on the live attempts, in a fenced transaction."""
    conn.execute(
        update(table)
        .where(table.c.status.in_(_LIVE), table.c.epoch < lease.epoch)
        .values(epoch=lease.epoch)
    )


def live(conn: Connection) -> dict[bytes, Attempt]:
    """Return the live attempts by market id."""
    rows = conn.execute(select(table).where(table.c.status.in_(_LIVE))).all()
    return {row.market_id: _attempt(row) for row in rows}


def attempts_of(conn: Connection, intent_ids: Sequence[int]) -> list[Attempt]:
    """Return all attempts of these intents, oldest first."""
    rows = conn.execute(
        select(table).where(table.c.intent_id.in_(intent_ids)).order_by(table.c.id)
    ).all()
    return [_attempt(row) for row in rows]


def fees_since(conn: Connection, seconds: float) -> int:
    """Return the maximum cost (lamports) of all attempts signed in the last ``seconds``."""
    return int(
        conn.execute(
            select(func.coalesce(func.sum(table.c.fee), 0)).where(
                table.c.signed_at > func.clock_timestamp() - timedelta(seconds=seconds)
            )
        ).scalar_one()
    )


def update_live(conn: Connection, lease: Lease, attempt: Attempt, **values: Any) -> None:
    """Update a live attempt, in a fenced transaction.

    Raises:
        LeaseLost: The row has another epoch or is not live.
    """
    changed = conn.execute(
        update(table)
        .where(table.c.id == attempt.id, table.c.epoch == lease.epoch, table.c.status.in_(_LIVE))
        .values(**values)
    )
    if changed.rowcount != 1:
        raise LeaseLost(f"attempt {attempt.id} no longer belongs to epoch {lease.epoch}")


def mark_sent(conn: Connection, lease: Lease, attempt: Attempt) -> None:
    """Record that the attempt was sent once more."""
    update_live(
        conn,
        lease,
        attempt,
        status="sent",
        sends=table.c.sends + 1,
        sent_at=func.coalesce(table.c.sent_at, func.clock_timestamp()),
    )


def settle(
    conn: Connection,
    lease: Lease,
    attempt: Attempt,
    status: AttemptStatus,
    *,
    error: str | None = None,
    fee: int | None = None,
    compute_units: int | None = None,
) -> None:
    """End the attempt as final or dead, with its actual cost where that is known."""
    values = {"fee": fee, "compute_units": compute_units}
    update_live(
        conn,
        lease,
        attempt,
        status=status,
        error=error,
        settled_at=func.clock_timestamp(),
        **{name: value for name, value in values.items() if value is not None},
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(**{name: getattr(row, name) for name in Attempt.__struct_fields__})
