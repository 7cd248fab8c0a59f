"""How many markets were in each state over time: the counts of now, less what has changed since."""

from __future__ import annotations

from itertools import accumulate
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, bindparam, text

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries.market_counts import market_counts_by_state

# Each part reads the transitions after the first point by an index of their time. A transition
# counts in the first point that is not before it; those after the last point have their number.
_TRANSITIONS: Final = text(
    f"""
WITH transitions (began, ended, at) AS (
    SELECT {MarketState.PROPOSED}, NULL::int, created_at
    FROM market.markets WHERE created_at > :first
    UNION ALL
    SELECT {MarketState.APPROVED}, {MarketState.PROPOSED}, approved_at
    FROM market.markets WHERE approved_at > :first AND approved_at > 0
    UNION ALL
    SELECT {MarketState.ACTIVE}, {MarketState.APPROVED}, activated_at
    FROM market.markets WHERE activated_at > :first AND activated_at > 0
    UNION ALL
    SELECT {MarketState.RESOLVING}, {MarketState.ACTIVE}, resolution_proposed_at
    FROM market.markets WHERE resolution_proposed_at > :first AND resolution_proposed_at > 0
    UNION ALL
    SELECT {MarketState.DISPUTED}, {MarketState.RESOLVING}, dispute_initiated_at
    FROM market.markets WHERE dispute_initiated_at > :first AND dispute_initiated_at > 0
    UNION ALL
    SELECT {MarketState.FINALIZED},
        CASE WHEN dispute_initiated_at > 0 THEN {MarketState.DISPUTED}
            ELSE {MarketState.RESOLVING} END,
        finalized_at
    FROM market.markets WHERE finalized_at > :first AND finalized_at > 0
    UNION ALL
    SELECT {MarketState.CANCELLED},
        CASE WHEN approved_at > 0 THEN {MarketState.APPROVED} ELSE {MarketState.PROPOSED} END,
        cancelled_at
    FROM market.markets WHERE cancelled_at > :first AND cancelled_at > 0
), changes AS (
    SELECT began AS state, at, 1 AS change FROM transitions
    UNION ALL SELECT ended, at, -1 FROM transitions WHERE ended IS NOT NULL
)
SELECT state, least(:points, (at - :first + :step - 1) / :step)::int AS point, sum(change)::int
FROM changes GROUP BY 1, 2
"""  # noqa: S608 - numbers of states
).bindparams(
    bindparam("first", type_=BigInteger),
    bindparam("step", type_=BigInteger),
    bindparam("points", type_=BigInteger),
)


class StateSeries(msgspec.Struct, frozen=True):
    """The number of markets in a state at each point."""

    state: int
    markets: list[int]


def state_history(conn: Connection, *, first: int, step: int, points: int) -> list[StateSeries]:
    """Return the numbers of markets in each state at ``points`` times.

    Args:
        conn: A transaction that sees one snapshot.
        first: The first point, in chain seconds.
        step: Seconds from a point to the next.
        points: How many.
    """
    changes = {int(state): [0] * (points + 1) for state in MarketState}
    found = conn.execute(_TRANSITIONS, {"first": first, "step": step, "points": points})
    for state, point, change in found:
        changes[state][point] += change
    counts = market_counts_by_state(conn)
    series = []
    for state, changed in changes.items():
        changed[0] = counts.get(state, 0) - sum(changed)
        series.append(StateSeries(state, list(accumulate(changed[:points]))))
    return series
