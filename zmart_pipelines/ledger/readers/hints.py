"""Hints: signatures that a delivery named without logs, enqueued with it and read by RPC.

A hint proves nothing. One that no node knows, or that does not concern the program, ends
without a gap; what is really missing is found by the listing of a finalized window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, Row, func, select

from zmart_pipelines.chain.helius_enhanced import Hint
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.decode import decode
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers.rpc_reader import (
    TransactionRef,
    UnreadTransaction,
    fetch_transactions,
)
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import chain

# Attempts until a signature counts as unknown: about twenty minutes with the pauses below.
MAX_ATTEMPTS: Final = 8
MAX_HINTS_PER_SCAN: Final = 100

_hints = chain.hints


class HintReport(msgspec.Struct, frozen=True):
    """What became of hints that were due.

    Attributes:
        read: the ledger holds them now.
        foreign: they do not concern the program.
        postponed: the node does not have them yet, or they were not reached in time.
        unknown: given up.
    """

    read: int = 0
    foreign: int = 0
    postponed: int = 0
    unknown: int = 0
    result: IngestResult = IngestResult()


# What the ledger holds already is not enqueued. A signature that was given up and is named
# again is retried from the start.
_ENQUEUE = """
INSERT INTO chain.hints (signature, slot, delivery_id)
SELECT named.signature, named.slot, %b::int8
FROM unnest(%b::bytea[], %b::int8[]) AS named (signature, slot)
WHERE NOT EXISTS (
    SELECT FROM chain.transactions AS t
    WHERE t.signature = named.signature AND t.commitment <> 'orphaned'
)
ORDER BY named.signature
ON CONFLICT (signature) DO UPDATE SET
    status = 'pending', attempts = 0, retry_at = now(), settled_at = NULL, reason = NULL,
    slot = excluded.slot, delivery_id = excluded.delivery_id
WHERE hints.status = 'unknown'
RETURNING signature
"""

_FINISH = """
UPDATE chain.hints SET status = %b::text, reason = NULL, settled_at = now(),
    attempts = attempts + 1
WHERE signature = ANY(%b) AND status = 'pending'
"""

_POSTPONE = """
UPDATE chain.hints AS h SET
    attempts = h.attempts + 1,
    reason = failed.reason,
    retry_at = now() + interval '5 seconds' * 2 ^ h.attempts,
    status = CASE WHEN h.attempts + 1 >= %b::int4 THEN 'unknown' ELSE 'pending' END,
    settled_at = CASE WHEN h.attempts + 1 >= %b::int4 THEN now() END
FROM unnest(%b::bytea[], %b::text[]) AS failed (signature, reason)
WHERE h.signature = failed.signature AND h.status = 'pending'
RETURNING h.status
"""


def enqueue_hints(conn: Connection, hints: Sequence[Hint], delivery_id: int) -> int:
    """Enqueue signatures to read; return how many of them were not known yet."""
    signatures, slots = [hint.signature for hint in hints], [hint.slot for hint in hints]
    return len(execute(conn, _ENQUEUE, delivery_id, signatures, slots).all())


def due_hints(
    conn: Connection, limit: int = MAX_HINTS_PER_SCAN
) -> list[Row[tuple[bytes, int | None]]]:
    """Return signature and slot of hints that are due, the longest due first."""
    return list(
        conn.execute(
            select(_hints.c.signature, _hints.c.slot)
            .where(_hints.c.status == "pending", _hints.c.retry_at <= func.now())
            .order_by(_hints.c.retry_at)
            .limit(limit)
        )
    )


def read_due_hints(
    engine: Engine,
    rpc: RpcClient,
    settings: Settings,
    *,
    seconds: float | None = None,
    limit: int = MAX_HINTS_PER_SCAN,
) -> HintReport:
    """Read hints that are due at confirmed, within about ``seconds``, and ingest them.

    An unavailable or rate-limiting node raises what RpcClient raises and costs no attempt.
    """
    with engine.connect() as conn:
        rows = due_hints(conn, limit)
        stored = _stored_signatures(conn, [row.signature for row in rows])
    refs = [TransactionRef(row.signature, row.slot) for row in rows if row.signature not in stored]
    found: list[RawTransaction] = []
    foreign: list[bytes] = []
    unread: list[UnreadTransaction] = []
    for answer in fetch_transactions(rpc, settings.program, refs, "confirmed", seconds=seconds):
        if isinstance(answer, UnreadTransaction):
            unread.append(answer)
        elif answer is not None and decode(answer, settings.program).concerns_program:
            found.append(answer)
        elif answer is not None:
            foreign.append(answer.signature)

    def store(conn: Connection) -> tuple[int, IngestResult]:
        _finish(conn, "read", [*stored, *(transaction.signature for transaction in found)])
        _finish(conn, "foreign", foreign)
        given_up = _postpone(conn, unread)
        return given_up, ingest(
            conn,
            found,
            source=Source.CONFIRMED_POLL,
            commitment=Commitment.CONFIRMED,
            program=settings.program,
        )

    if not rows:
        return HintReport()
    given_up, result = run_in_transaction(engine, store)
    read = len(stored) + len(found)
    return HintReport(
        read=read,
        foreign=len(foreign),
        postponed=len(rows) - read - len(foreign) - given_up,
        unknown=given_up,
        result=result,
    )


def _stored_signatures(conn: Connection, signatures: Sequence[bytes]) -> set[bytes]:
    """Return those that the ledger holds completely, from whatever source."""
    table, gaps = chain.transactions, chain.gaps
    incomplete = select(gaps.c.signature).where(
        gaps.c.signature == table.c.signature, gaps.c.closed_at.is_(None)
    )
    return set(
        conn.execute(
            select(table.c.signature).where(
                table.c.signature.in_(signatures),
                table.c.commitment != Commitment.ORPHANED.value,
                ~incomplete.exists(),
            )
        ).scalars()
    )


def _finish(conn: Connection, status: str, signatures: Sequence[bytes]) -> None:
    if signatures:
        execute(conn, _FINISH, status, list(signatures))


def _postpone(conn: Connection, unread: Sequence[UnreadTransaction]) -> int:
    """Count a failed attempt for each; return how many of them were given up."""
    if not unread:
        return 0
    signatures = [transaction.signature for transaction in unread]
    reasons = [transaction.reason for transaction in unread]
    rows = execute(conn, _POSTPONE, MAX_ATTEMPTS, MAX_ATTEMPTS, signatures, reasons)
    return sum(status == "unknown" for status in rows.scalars())
