"""What the tables say of one market beside its row: its last transaction, what is in its way."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, LargeBinary, bindparam, select, text

from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.ops import alerts


class LastTransaction(msgspec.Struct, frozen=True):
    """The newest transaction with an event of the market; ``fee`` in lamports, if it was read."""

    signature: bytes
    name: str
    slot: int
    commitment: str
    block_time: int | None
    fee: int | None


class OpenAlert(msgspec.Struct, frozen=True):
    """An open alert of the market."""

    topic: str
    severity: str
    raised_at: datetime


_LAST: Final = text(
    """
SELECT e.signature, e.name, e.slot, cast(e.commitment AS text) AS commitment, t.block_time, t.fee
FROM chain.events AS e
JOIN chain.transactions AS t USING (signature, digest)
WHERE e.market_id = :market AND e.commitment <> 'orphaned' AND e.name IS NOT NULL
ORDER BY e.slot DESC, coalesce(e.index_in_block, 2147483647) DESC, e.log_index DESC
LIMIT 1
"""
).bindparams(bindparam("market", type_=LargeBinary))


def last_transaction(conn: Connection, market_id: bytes) -> LastTransaction | None:
    """Return the market's newest transaction that counts; None before the first."""
    row = conn.execute(_LAST, {"market": market_id}).one_or_none()
    return None if row is None else one(LastTransaction, row)


def open_alerts(conn: Connection, market_id: bytes) -> list[OpenAlert]:
    """Return the market's open alerts, oldest first."""
    columns = [alerts.c[name] for name in OpenAlert.__struct_fields__]
    statement = select(*columns).where(
        alerts.c.market_id == market_id, alerts.c.cleared_at.is_(None)
    )
    return many(OpenAlert, conn.execute(statement.order_by(alerts.c.id)))


class UnsettledIntent(msgspec.Struct, frozen=True):
    """The newest intent of an action for the market, unless it is final or superseded."""

    id: int
    action: str
    status: str
    reason: str | None
    failures: int
    retry_at: datetime
    created_at: datetime


_UNSETTLED: Final = text(
    """
SELECT id, action, status, reason, failures, retry_at, created_at FROM (
    SELECT DISTINCT ON (action) * FROM ops.intents WHERE market_id = :market
    ORDER BY action, round DESC, id DESC
) AS newest
WHERE status NOT IN ('final', 'superseded')
ORDER BY id
"""
).bindparams(bindparam("market", type_=LargeBinary))


def unsettled_intents(conn: Connection, market_id: bytes) -> list[UnsettledIntent]:
    """Return what is still to be sent for the market, or failed, oldest first."""
    return many(UnsettledIntent, conn.execute(_UNSETTLED, {"market": market_id}))
