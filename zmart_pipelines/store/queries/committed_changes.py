"""What was committed since a cursor, by any writer.

The cursor is a transaction id of Postgres. A row counts when its writer is older than every
transaction that is still running, so that a row committed late is never skipped.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    cast,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.types import Text

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import metadata
from zmart_pipelines.store.tables.chain import cursors, deliveries, events, transactions
from zmart_pipelines.store.tables.voting import ballots

NEWEST = 20


class CommittedChanges(msgspec.Struct, frozen=True):
    """New rows with writers in ``[since, until)``.

    ``events`` and ``ballots`` count by event name and by kind of vote; quarantined lines have
    the name "quarantined". ``signatures`` are the newest transactions, at most ``NEWEST``.
    ``slot`` and ``block_time`` (chain seconds) are the newest among the new ones.
    ``ledger`` names the ledger's state at ``until``; it changes when events are added.
    ``latency`` is the mean time in seconds from the block's time to the row, None where no
    block time is known.
    """

    since: int
    until: int
    ledger: str
    transactions: int
    failed: int
    deliveries: int
    events: dict[str, int]
    markets: int
    ballots: dict[str, int]
    signatures: tuple[bytes, ...]
    slot: int | None
    block_time: int | None
    latency: float | None

    def __bool__(self) -> bool:
        return bool(self.transactions or self.events or self.ballots)


class PollStatus(msgspec.Struct, frozen=True):
    """The slot the confirmed poll read up to, ``age`` seconds ago; ``ledger`` as above."""

    confirmed_slot: int
    age: float
    ledger: str


def poll_status(conn: Connection) -> PollStatus | None:
    """Return the progress of the confirmed poll; None before the first one."""
    row = conn.execute(
        select(cursors.c.slot, func.extract("epoch", func.now() - cursors.c.updated_at)).where(
            cursors.c.name == "confirmed"
        )
    ).one_or_none()
    return None if row is None else PollStatus(row[0], float(row[1]), ledger_version(conn))


class Latency(msgspec.Struct, frozen=True):
    """Seconds from a block's time to its rows, of one piece of time (``begins``: Unix seconds).

    Block times are whole seconds, so a figure may be up to a second too large.
    """

    begins: int
    transactions: int
    median: float
    worst: float


# Transactions of a finalized window or a backfill alone are excluded: they are late by design.
_AT_ONCE = """
SELECT floor(extract(epoch FROM first_seen_at) / :piece) * :piece AS begins,
    count(*) AS transactions,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY late) AS median,
    max(late) AS worst
FROM (
    SELECT first_seen_at, greatest(extract(epoch FROM first_seen_at) - block_time, 0) AS late
    FROM chain.transactions
    WHERE block_time > extract(epoch FROM now()) - :seconds AND (sources & 3) <> 0
        AND first_seen_at > now() - :seconds * interval '1 second' AND commitment <> 'orphaned'
) AS recent
GROUP BY 1
ORDER BY 1
"""


def latencies(conn: Connection, *, seconds: int, piece: int) -> list[Latency]:
    """Return the delay of the last ``seconds``' transactions by webhook or confirmed poll.

    One entry for each ``piece`` of seconds that has any.
    """
    found = conn.execute(text(_AT_ONCE), {"seconds": seconds, "piece": piece})
    return [
        Latency(int(row.begins), row.transactions, float(row.median), float(row.worst))
        for row in found
    ]


class NewestTransaction(msgspec.Struct, frozen=True):
    """One of the newest transactions; ``block_time`` in chain seconds."""

    signature: bytes
    slot: int
    commitment: str
    block_time: int | None


def newest_transactions(conn: Connection, limit: int = NEWEST) -> list[NewestTransaction]:
    """Return the newest transactions that are not orphaned, newest first."""
    columns = [transactions.c[name] for name in NewestTransaction.__struct_fields__]
    statement = (
        select(*columns)
        .where(transactions.c.commitment != "orphaned")
        .order_by(transactions.c.slot.desc(), transactions.c.index_in_block.desc())
        .limit(limit)
    )
    return many(NewestTransaction, conn.execute(statement))


def ledger_version(conn: Connection, until: int | None = None) -> str:
    """Return a name of the ledger's state: the newest writer of an event, "0" without any.

    Args:
        until: Count only writers before this transaction id.
    """
    statement = select(func.coalesce(func.max(events.c.xid), 0))
    if until is not None:
        statement = statement.where(events.c.xid < until)
    return str(conn.execute(statement).scalar_one())


def row_counts(conn: Connection, *names: str) -> dict[str, int]:
    """Return the number of rows of each of these tables (``schema.table``)."""
    return {
        name: conn.execute(select(func.count()).select_from(metadata.tables[name])).scalar_one()
        for name in names
    }


def overdue_deliveries(conn: Connection, older_than: timedelta) -> list[int]:
    """Return the ids of deliveries received so long ago that are still not ingested."""
    return list(
        conn.execute(
            select(deliveries.c.id)
            .where(
                deliveries.c.status != "ingested",
                deliveries.c.received_at < func.now() - older_than,
            )
            .order_by(deliveries.c.id)
            .limit(NEWEST)
        ).scalars()
    )


def changes_since(conn: Connection, since: int) -> CommittedChanges:
    """Return everything committed from transaction id ``since`` (0: from the beginning)."""
    snapshot = func.pg_snapshot_xmin(func.pg_current_snapshot())
    until: int = conn.execute(select(cast(cast(snapshot, Text), BigInteger))).scalar_one()

    def new(xid: Column[int]) -> ColumnElement[bool]:
        return (xid >= since) & (xid < until)

    landed = conn.execute(
        select(
            func.count(),
            func.count().filter(transactions.c.failed),
            func.count(transactions.c.delivery_id.distinct()),
            func.max(transactions.c.slot),
            func.max(transactions.c.block_time),
            func.avg(
                func.extract("epoch", transactions.c.first_seen_at) - transactions.c.block_time
            ),
        ).where(new(transactions.c.xid))
    ).one()
    name = func.coalesce(events.c.name, literal_column("'quarantined'"))
    by_name = conn.execute(
        select(name, func.count()).where(new(events.c.xid)).group_by(name).order_by(name)
    ).all()
    markets: int = conn.execute(
        select(func.count(events.c.market_id.distinct())).where(new(events.c.xid))
    ).scalar_one()
    by_kind = conn.execute(
        select(ballots.c.kind, func.count()).where(new(ballots.c.xid)).group_by(ballots.c.kind)
    ).all()
    newest = conn.execute(
        select(transactions.c.signature)
        .where(new(transactions.c.xid))
        .order_by(transactions.c.slot.desc(), transactions.c.index_in_block.desc())
        .limit(NEWEST)
    ).scalars()
    return CommittedChanges(
        since=since,
        until=until,
        ledger=ledger_version(conn, until),
        transactions=landed[0],
        failed=landed[1],
        deliveries=landed[2],
        events={row[0]: row[1] for row in by_name},
        markets=markets,
        ballots={row[0]: row[1] for row in by_kind},
        signatures=tuple(newest),
        slot=landed[3],
        block_time=landed[4],
        latency=None if landed[5] is None else float(landed[5]),
    )
