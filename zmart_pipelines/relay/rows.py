"""Rows of ``ops.relayed_transactions``: stored once, claimed by one process, brought to an end.

A row is held by the process that claimed it, for the length of its lease by the database's clock.
Each claim raises the row's epoch, and each change of its progress names the epoch: a process that
was suspended past its lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    LargeBinary,
    TableValuedAlias,
    Text,
    bindparam,
    case,
    cast,
    column,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.types import TypeEngine

from zmart_pipelines.client_schemas.frames import transaction_frame
from zmart_pipelines.relay.signed_transaction import SignedTransaction
from zmart_pipelines.store.locks import lock_request_senders
from zmart_pipelines.store.queries.relayed_transactions import (
    COLUMNS,
    RelayedTransaction,
    relayed_transaction,
)
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.stream import append_at_commit
from zmart_pipelines.store.tables.relayed_transactions import relayed_transactions as table

_COUNT_OPEN: Final = select(func.count()).where(
    table.c.fee_payer == bindparam("wallet"), table.c.settled_at.is_(None)
)
_INSERT: Final = insert(table).on_conflict_do_nothing().returning(*COLUMNS)


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


class Stored(NamedTuple):
    """A stored transaction, and whether it was stored just now."""

    row: RelayedTransaction
    is_new: bool


def store(
    conn: Connection, signed: SignedTransaction, last_valid_block_height: int, *, open_limit: int
) -> Stored:
    """Store a transaction and tell its wallet, in a transaction that acts as its fee payer.

    Raises:
        TooManyOpen: The fee payer has ``open_limit`` open ones.
    """
    lock_request_senders(conn, signed.fee_payer)
    opened: int = conn.execute(_COUNT_OPEN, {"wallet": signed.fee_payer}).scalar_one()
    row = _insert(conn, signed, last_valid_block_height) if opened < open_limit else None
    if row is not None:
        append_at_commit(conn, [transaction_frame(row)])
        return Stored(row, is_new=True)
    row = relayed_transaction(conn, signed.signature)
    if row is None:
        raise TooManyOpen(opened)
    return Stored(row, is_new=False)


def _insert(
    conn: Connection, signed: SignedTransaction, last_valid_block_height: int
) -> RelayedTransaction | None:
    """Return the new row, None where the signature is stored already."""
    values = {
        "signature": signed.signature,
        "fee_payer": signed.fee_payer,
        "transaction": signed.data,
        "instructions": list(signed.instructions),
        "last_valid_block_height": last_valid_block_height,
    }
    inserted = conn.execute(_INSERT, values).one_or_none()
    return None if inserted is None else one(RelayedTransaction, inserted)


_CLAIM: Final = text(
    """
UPDATE ops.relayed_transactions AS t
SET holder = :holder, epoch = t.epoch + 1,
    leased_until = clock_timestamp() + make_interval(secs => :seconds)
FROM (
    SELECT signature FROM ops.relayed_transactions
    WHERE settled_at IS NULL
        AND (leased_until <= clock_timestamp() - make_interval(secs => :abandoned)
                AND holder IS DISTINCT FROM :holder
            OR :forgotten AND holder = :holder)
    ORDER BY received_at LIMIT :number
    FOR UPDATE SKIP LOCKED
) AS due
WHERE t.signature = due.signature
RETURNING t.signature, t.transaction, t.last_valid_block_height, t.state, t.refusal,
    t.landed_slot, t.epoch,
    extract(epoch FROM clock_timestamp() - t.received_at)::float8 AS age
"""
)


def claim(
    conn: Connection,
    holder: str,
    *,
    forgotten: bool,
    seconds: float,
    abandoned: float,
    number: int,
) -> list[HeldTransaction]:
    """Claim open rows that no process holds.

    Args:
        conn: In a transaction of the relay.
        holder: Name of this process.
        forgotten: Claim also all that it holds, because it no longer knows them.
        seconds: Length of the lease.
        abandoned: Seconds for which a row must have been without a holder.
        number: Claim at most so many, the oldest.
    """
    rows = conn.execute(
        _CLAIM,
        {
            "holder": holder,
            "forgotten": forgotten,
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


# Columns of the rows that a statement receives, each as an array of this name.
_GIVEN: Final[Mapping[str, TypeEngine[Any]]] = {
    "signatures": LargeBinary(),
    "epochs": BigInteger(),
    "slots": BigInteger(),
    "reasons": Text(),
    "states": Text(),
    "errors": Text(),
}


def _given(*names: str) -> TableValuedAlias:
    """Return the rows whose values a statement receives in arrays."""
    arrays = [bindparam(name, type_=ARRAY(_GIVEN[name])) for name in names]
    columns = [column(name, _GIVEN[name]) for name in names]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()


def _progress(given: TableValuedAlias, **values: Any) -> ReturningUpdate[Any]:
    """Return the statement that changes those of the given rows that are still held."""
    return (
        table.update()
        .where(
            table.c.signature == given.c.signatures,
            table.c.epoch == given.c.epochs,
            table.c.settled_at.is_(None),
        )
        .values(**values)
        .returning(*COLUMNS)
    )


_HELD: Final = _given("signatures", "epochs")
_SENT: Final = _progress(
    _HELD,
    state="sent",
    refusal=None,
    sends=table.c.sends + 1,
    sent_at=func.coalesce(table.c.sent_at, func.clock_timestamp()),
)
_DROPPED: Final = _progress(_HELD, state="sent", landed_slot=None)
_REFUSALS: Final = _given("signatures", "epochs", "reasons")
_REFUSED: Final = _progress(_REFUSALS, refusal=_REFUSALS.c.reasons)
_LANDINGS: Final = _given("signatures", "epochs", "slots")
_CONFIRMED: Final = _progress(
    _LANDINGS,
    state="confirmed",
    landed_slot=_LANDINGS.c.slots,
    confirmed_at=func.coalesce(table.c.confirmed_at, func.clock_timestamp()),
)
_ENDS: Final = _given("signatures", "epochs", "states", "slots", "errors")
_ENDED: Final = _progress(
    _ENDS,
    state=_ENDS.c.states,
    landed_slot=_ENDS.c.slots,
    error=cast(_ENDS.c.errors, JSONB),
    confirmed_at=case(
        (_ENDS.c.slots.is_(None), table.c.confirmed_at),
        else_=func.coalesce(table.c.confirmed_at, func.clock_timestamp()),
    ),
    settled_at=func.clock_timestamp(),
)


def _record(
    conn: Connection,
    statement: ReturningUpdate[Any],
    held: Sequence[HeldTransaction],
    **values: Sequence[Any],
) -> set[bytes]:
    """Change the progress of held rows and tell their wallets.

    Returns:
        The signatures of those that were changed. Another process has claimed the others, or they
        have ended.
    """
    if not held:
        return set()
    keys = {
        "signatures": [row.signature for row in held],
        "epochs": [row.epoch for row in held],
    }
    changed = many(RelayedTransaction, conn.execute(statement, {**keys, **values}))
    append_at_commit(conn, map(transaction_frame, changed))
    return {row.signature for row in changed}


def record_sent(conn: Connection, held: Sequence[HeldTransaction]) -> set[bytes]:
    """Record that a node took each once more; see ``_record``."""
    return _record(conn, _SENT, held)


class Refused(NamedTuple):
    """A held row that no node took, and why."""

    row: HeldTransaction
    reason: str


def record_refused(conn: Connection, refused: Sequence[Refused]) -> set[bytes]:
    """Record why no node took each of them; see ``_record``."""
    reasons = [one.reason for one in refused]
    return _record(conn, _REFUSED, [one.row for one in refused], reasons=reasons)


class Confirmed(NamedTuple):
    """A held row, and the slot of the block that holds its transaction."""

    row: HeldTransaction
    slot: int


def record_confirmed(conn: Connection, confirmed: Sequence[Confirmed]) -> set[bytes]:
    """Record the slot of the block that holds each; see ``_record``."""
    slots = [one.slot for one in confirmed]
    return _record(conn, _CONFIRMED, [one.row for one in confirmed], slots=slots)


def record_dropped(conn: Connection, held: Sequence[HeldTransaction]) -> set[bytes]:
    """Record that the block that held each is no longer on the chain; see ``_record``."""
    return _record(conn, _DROPPED, held)


class End(NamedTuple):
    """A held row and its end: ``finalized``, ``failed`` (with the error) or ``expired``."""

    row: HeldTransaction
    state: str
    slot: int | None = None
    error: Any = None


def record_ends(conn: Connection, ends: Sequence[End]) -> set[bytes]:
    """Record the end of each; see ``_record``."""
    return _record(
        conn,
        _ENDED,
        [end.row for end in ends],
        states=[end.state for end in ends],
        slots=[end.slot for end in ends],
        errors=[
            None if end.error is None else msgspec.json.encode(end.error).decode() for end in ends
        ],
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
