"""What finalized markets owe to those who have not claimed."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, LargeBinary, bindparam, text

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.binary_arrays import keys
from zmart_pipelines.store.queries import market_parts
from zmart_pipelines.store.queries.row_mapping import many

# Markets that one call returns because they have changed.
MOST_CHANGED = 500


class OwedClaims(msgspec.Struct, frozen=True):
    """What a market owes.

    Attributes:
        market_id: The market.
        address: Its account.
        owed: Lamports of the claims that are outstanding, and of the resolver's fees that are paid
            with the first of them.
    """

    market_id: bytes
    address: bytes
    owed: int


_OWED = text(
    f"""
WITH chosen AS (
    (SELECT market_id FROM market.markets
        WHERE state = {int(MarketState.FINALIZED)} AND updated_at >= coalesce(
            (SELECT last_success_at - interval '2 minutes' FROM ops.heartbeats
                WHERE service = :reader), '-infinity')
        ORDER BY updated_at DESC LIMIT {MOST_CHANGED})
    UNION
    SELECT market_id FROM market.markets WHERE market_id BETWEEN :first AND :last
    UNION
    SELECT unnest(cast(:others AS bytea[]))
)
SELECT m.market_id, m.address,
    c.owed + CASE WHEN m.final_outcome IS NULL THEN 0 ELSE m.accumulated_resolver_fees END AS owed
FROM chosen JOIN market.markets AS m USING (market_id)
CROSS JOIN LATERAL (
    SELECT sum(CASE m.final_outcome
        WHEN true THEN div(p.shares_yes * m.current_liquidity, nullif(m.shares_yes, 0))
        WHEN false THEN div(p.shares_no * m.current_liquidity, nullif(m.shares_no, 0))
        ELSE p.total_invested END) AS owed
    FROM market.positions AS p WHERE p.market_id = m.market_id AND NOT p.has_claimed
) AS c
WHERE m.state = {int(MarketState.FINALIZED)} AND c.owed > 0
ORDER BY m.market_id
"""  # noqa: S608 - only numbers of ours
).bindparams(bindparam("first", type_=LargeBinary), bindparam("last", type_=LargeBinary))


def owed_claims(
    conn: Connection, reader: str, part: int, others: Collection[bytes]
) -> list[OwedClaims]:
    """Return what finalized markets owe: those that changed, one part of all, and the others.

    A market's claims and balance change by transactions only, which change its row.

    Args:
        conn: Reads the tables.
        reader: Service whose last success in ``ops.heartbeats`` says what has been seen.
        part: Of all markets; calls with changing numbers find every market at some time.
        others: Further markets.
    """
    values = {
        "reader": reader,
        "others": keys(list(others)),
        **market_parts.bounds(part),
    }
    return many(OwedClaims, conn.execute(_OWED, values))
