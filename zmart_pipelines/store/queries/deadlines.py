"""What changes by itself next: ends of dispute windows, of dispute votes, and of markets."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, bindparam, select, text

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries.markets import MARKETS, QUESTION
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.market import markets


class MarketDeadline(msgspec.Struct, frozen=True):
    """A market's next deadline, ``at`` in chain seconds; it may have passed."""

    market_id: bytes
    state: int
    at: int


# When the vote of the dispute of a row ``m`` began, in chain seconds: with the dispute, or when
# operators opened the round that is open now.
DISPUTE_VOTE_BEGAN: Final = """greatest(m.dispute_initiated_at, (
    SELECT max(t.opened_chain_time) FROM voting.tallies AS t
    WHERE t.market_id = m.market_id AND t.kind = 'dispute'
))"""

# Each part reads as many rows as it returns, by an index (a reopened vote is ordered by its
# dispute). The states are literals, so that Postgres uses the partial indexes of these states.
_DEADLINES: Final = text(
    f"""
(SELECT market_id, state, resolution_proposed_at + :window AS at FROM market.markets
 WHERE state = {MarketState.RESOLVING} ORDER BY resolution_proposed_at LIMIT :limit)
UNION ALL
(SELECT m.market_id, m.state, {DISPUTE_VOTE_BEGAN} + :vote AS at FROM market.markets AS m
 WHERE m.state = {MarketState.DISPUTED} ORDER BY m.dispute_initiated_at LIMIT :limit)
UNION ALL
(SELECT market_id, state, ends_at / 1000000 AS at FROM market.listings
 WHERE state = {MarketState.ACTIVE} AND ends_at IS NOT NULL ORDER BY ends_at LIMIT :limit)
ORDER BY at, market_id LIMIT :limit
"""  # noqa: S608 - numbers of states
).bindparams(
    bindparam("window", type_=BigInteger),
    bindparam("vote", type_=BigInteger),
)


def next_deadlines(conn: Connection, *, window: int, vote: int, limit: int) -> list[MarketDeadline]:
    """Return the markets whose deadline comes first.

    Args:
        conn: A transaction.
        window: Seconds from a proposed outcome to the end of its dispute window.
        vote: Seconds from a dispute to the end of its vote.
        limit: How many.
    """
    values = {"window": window, "vote": vote, "limit": limit}
    return many(MarketDeadline, conn.execute(_DEADLINES, values))


def questions(conn: Connection, market_ids: Collection[bytes]) -> dict[bytes, str]:
    """Return the questions of these markets."""
    statement = select(markets.c.market_id, QUESTION).select_from(MARKETS)
    rows = conn.execute(statement.where(markets.c.market_id.in_(list(market_ids))))
    return {row[0]: row[1] for row in rows}
