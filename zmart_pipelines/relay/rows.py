"""Rows of ``ops.relayed_transactions``: stored once, claimed by one process, brought to an end.

A row is held by the process that claimed it, for the length of its lease by the database's clock.
Each claim raises the row's epoch, and each change of its progress names the epoch: a process that
was suspended past its lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    CursorResult,
    LargeBinary,
    bindparam,
    func,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.client_schemas.frames import transaction_frame
from zmart_pipelines.relay.signed_transaction import SignedTransaction
from zmart_pipelines.store.locks import lock_request_senders
from zmart_pipelines.store.queries.relayed_transactions import COLUMNS, RelayedTransaction
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.stream import append_at_commit
from zmart_pipelines.store.tables.relayed_transactions import relayed_transactions as table


class HeldTransaction(msgspec.Struct, frozen=True):
    """An open row that this process holds, as it was when it was claimed.

    Attributes:
        age: Seconds since it was stored, by the database's clock.
    """

    signature: bytes
    transaction: bytes
    last_valid_block_height: int
    state: str
    refusal: str | None
    landed_slot: int | None
    epoch: int
    age: float


class TooManyOpen(Exception):
    """The wallet has as many open transactions as it may; the argument is how many."""


class NoLongerHeld(Exception):
    """Another process has claimed the row, or it has ended."""


def store(
    conn: Connection, signed: SignedTransaction, last_valid_block_height: int, *, open_limit: int
) -> bool:
    """Store a transaction and tell its wallet, in a transaction that acts as its fee payer.

    Returns:
        False where its signature is stored already.

    Raises:
        TooManyOpen: The fee payer has ``open_limit`` open ones.
    """
    lock_request_senders(conn, signed.fee_payer)
    if is_stored(conn, signed.signature):
        return False
    opened = conn.execute(
        select(func.count()).where(
            table.c.fee_payer == signed.fee_payer, table.c.settled_at.is_(None)
        )
    ).scalar_one()
    if opened >= open_limit:
        raise TooManyOpen(opened)
    inserted = conn.execute(
        insert(table)
        .values(
            signature=signed.signature,
            fee_payer=signed.fee_payer,
            transaction=signed.data,
            instructions=list(signed.instructions),
            last_valid_block_height=last_valid_block_height,
        )
        .on_conflict_do_nothing()
        .returning(*COLUMNS)
    )
    return _append_frames(conn, inserted)


def is_stored(conn: Connection, signature: bytes) -> bool:
    """Return whether a transaction with this signature is stored."""
    found = conn.execute(select(table.c.signature).where(table.c.signature == signature))
    return found.one_or_none() is not None


_CLAIM: Final = text(
    """
UPDATE ops.relayed_transactions AS t
SET holder = :holder, epoch = t.epoch + 1,
    leased_until = clock_timestamp() + make_interval(secs => :seconds)
FROM (
    SELECT signature FROM ops.relayed_transactions
    WHERE settled_at IS NULL AND signature <> ALL(:held)
        AND (holder = :holder
            OR leased_until <= clock_timestamp() - make_interval(secs => :abandoned))
    ORDER BY received_at LIMIT :number
    FOR UPDATE SKIP LOCKED
) AS due
WHERE t.signature = due.signature
RETURNING t.signature, t.transaction, t.last_valid_block_height, t.state, t.refusal,
    t.landed_slot, t.epoch,
    extract(epoch FROM clock_timestamp() - t.received_at)::float8 AS age
"""
).bindparams(bindparam("held", type_=ARRAY(LargeBinary)))


def claim(
    conn: Connection,
    holder: str,
    *,
    held: Sequence[bytes],
    seconds: float,
    abandoned: float,
    number: int,
) -> list[HeldTransaction]:
    """Claim open rows that no process holds, and those of ``holder`` that it does not know of.

    Args:
        conn: In a transaction of the relay.
        holder: Name of this process.
        held: Signatures that it holds.
        seconds: Length of the lease.
        abandoned: Seconds for which a row must have been without a holder.
        number: Claim at most so many, the oldest.
    """
    rows = conn.execute(
        _CLAIM,
        {
            "holder": holder,
            "held": list(held),
            "seconds": seconds,
            "abandoned": abandoned,
            "number": number,
        },
    )
    return many(HeldTransaction, rows)


_SIGNATURES: Final = bindparam("signatures", type_=ARRAY(LargeBinary))
_LEASE: Final = text(
    """
UPDATE ops.relayed_transactions AS t
SET holder = :holder, leased_until = clock_timestamp() + make_interval(secs => :seconds)
FROM unnest(:signatures, :epochs) AS mine (signature, epoch)
WHERE t.signature = mine.signature AND t.epoch = mine.epoch AND t.settled_at IS NULL
RETURNING t.signature
"""
).bindparams(_SIGNATURES, bindparam("epochs", type_=ARRAY(BigInteger)))


def renew(
    conn: Connection, holder: str, held: Sequence[HeldTransaction], seconds: float
) -> set[bytes]:
    """Extend the leases to ``seconds`` from now; return the signatures that are still held."""
    return _lease(conn, holder, held, seconds)


def release(conn: Connection, held: Sequence[HeldTransaction]) -> None:
    """Let other processes claim these rows at once."""
    _lease(conn, None, held, 0.0)


def _lease(
    conn: Connection, holder: str | None, held: Sequence[HeldTransaction], seconds: float
) -> set[bytes]:
    found = conn.execute(
        _LEASE,
        {
            "holder": holder,
            "seconds": seconds,
            "signatures": [row.signature for row in held],
            "epochs": [row.epoch for row in held],
        },
    )
    return {bytes(signature) for signature in found.scalars()}


def record(conn: Connection, row: HeldTransaction, **values: Any) -> None:
    """Change the progress of a held row, and tell its wallet.

    Raises:
        NoLongerHeld: Another process has claimed it, or it has ended.
    """
    changed = conn.execute(
        table.update()
        .where(
            table.c.signature == row.signature,
            table.c.epoch == row.epoch,
            table.c.settled_at.is_(None),
        )
        .values(**values)
        .returning(*COLUMNS)
    )
    if not _append_frames(conn, changed):
        raise NoLongerHeld


def _append_frames(conn: Connection, changed: CursorResult[Any]) -> bool:
    """Append the frame of the changed row, if there is one; return whether there is."""
    row = changed.one_or_none()
    if row is not None:
        append_at_commit(conn, [transaction_frame(one(RelayedTransaction, row))])
    return row is not None


def record_sent(conn: Connection, row: HeldTransaction) -> None:
    """Record that a node took it once more."""
    record(
        conn,
        row,
        state="sent",
        refusal=None,
        sends=table.c.sends + 1,
        sent_at=func.coalesce(table.c.sent_at, func.clock_timestamp()),
    )


def record_confirmed(conn: Connection, row: HeldTransaction, slot: int) -> None:
    """Record the slot of the block that holds it."""
    record(
        conn,
        row,
        state="confirmed",
        landed_slot=slot,
        confirmed_at=func.coalesce(table.c.confirmed_at, func.clock_timestamp()),
    )


def record_dropped(conn: Connection, row: HeldTransaction) -> None:
    """Record that the block that held it is no longer on the chain."""
    record(conn, row, state="sent", landed_slot=None)


def record_end(
    conn: Connection, row: HeldTransaction, state: str, slot: int | None, error: Any
) -> None:
    """Record its end: ``finalized``, ``failed`` or ``expired``."""
    confirmed = func.clock_timestamp() if slot is not None else None
    record(
        conn,
        row,
        state=state,
        landed_slot=slot,
        error=null() if error is None else error,
        confirmed_at=func.coalesce(table.c.confirmed_at, confirmed),
        settled_at=func.clock_timestamp(),
    )


_FINALIZED: Final = text(
    """
SELECT signature, slot, error FROM chain.transactions
WHERE signature = ANY(:signatures) AND commitment = 'finalized'
"""
).bindparams(_SIGNATURES)


class FinalizedReading(msgspec.Struct, frozen=True):
    """What the ledger read of a transaction at finalized."""

    signature: bytes
    slot: int
    error: Any


def finalized_readings(conn: Connection, signatures: Sequence[bytes]) -> list[FinalizedReading]:
    """Return those of these transactions that the ledger has read at finalized."""
    rows = conn.execute(_FINALIZED, {"signatures": list(signatures)})
    return many(FinalizedReading, rows)


_UNHELD: Final = text(
    """
SELECT signature FROM ops.relayed_transactions
WHERE settled_at IS NULL AND leased_until <= clock_timestamp() - make_interval(secs => :abandoned)
ORDER BY received_at LIMIT :number
"""
)


def unheld_signatures(conn: Connection, *, abandoned: float, number: int) -> list[bytes]:
    """Return open transactions that no process has held for ``abandoned`` seconds, oldest first."""
    rows = conn.execute(_UNHELD, {"abandoned": abandoned, "number": number})
    return [bytes(signature) for signature in rows.scalars()]
