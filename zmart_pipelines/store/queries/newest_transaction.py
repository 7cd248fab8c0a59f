"""The newest transaction of a market, with its fee."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, LargeBinary, bindparam, text

from zmart_pipelines.store.queries.events import UNKNOWN_INDEX
from zmart_pipelines.store.queries.row_mapping import one


class NewestTransaction(msgspec.Struct, frozen=True):
    """The newest transaction with an event of the market; ``fee`` in lamports, if it was read."""

    signature: bytes
    name: str
    slot: int
    commitment: str
    block_time: int | None
    fee: int | None


_NEWEST: Final = text(
    f"""
SELECT e.signature, e.name, e.slot, cast(e.commitment AS text) AS commitment, t.block_time, t.fee
FROM chain.events AS e
JOIN chain.transactions AS t USING (signature, digest)
WHERE e.market_id = :market AND e.commitment <> 'orphaned' AND e.name IS NOT NULL
ORDER BY e.slot DESC, coalesce(e.index_in_block, {UNKNOWN_INDEX}) DESC, e.log_index DESC
LIMIT 1
"""  # noqa: S608 - a constant of the query
).bindparams(bindparam("market", type_=LargeBinary))


def newest_transaction(conn: Connection, market_id: bytes) -> NewestTransaction | None:
    """Return the market's newest transaction that counts; None before the first."""
    row = conn.execute(_NEWEST, {"market": market_id}).one_or_none()
    return None if row is None else one(NewestTransaction, row)
