"""How many markets were in each state over time, from the times that their rows hold."""

from __future__ import annotations

from itertools import accumulate
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, bindparam, text

from zmart_pipelines.program.accounts import MarketState

# A market is in a state from the second of the event that leads to it to that of the next one. A
# step counts in the first point that is not before it; what is before the first point counts there.
_CHANGES: Final = text(
    f"""
WITH stays AS (
    SELECT stay.* FROM market.markets AS m CROSS JOIN LATERAL (VALUES
        ({MarketState.PROPOSED}, m.created_at,
            coalesce(nullif(m.approved_at, 0), m.cancelled_at)),
        ({MarketState.APPROVED}, m.approved_at,
            coalesce(nullif(m.activated_at, 0), m.cancelled_at)),
        ({MarketState.ACTIVE}, m.activated_at, nullif(m.resolution_proposed_at, 0)),
        ({MarketState.RESOLVING}, m.resolution_proposed_at,
            coalesce(nullif(m.dispute_initiated_at, 0), nullif(m.finalized_at, 0))),
        ({MarketState.DISPUTED}, m.dispute_initiated_at, nullif(m.finalized_at, 0)),
        ({MarketState.FINALIZED}, m.finalized_at, NULL),
        ({MarketState.CANCELLED}, m.cancelled_at, NULL)
    ) AS stay (state, began, ended)
    WHERE stay.began > 0
), changes AS (
    SELECT state, began AS at, 1 AS change FROM stays
    UNION ALL SELECT state, ended, -1 FROM stays WHERE ended IS NOT NULL
)
SELECT state, greatest(0, (at - :first + :step - 1) / :step)::int AS point, sum(change)::int
FROM changes WHERE at <= :last GROUP BY 1, 2
"""  # noqa: S608 - numbers of states
).bindparams(
    bindparam("first", type_=BigInteger),
    bindparam("step", type_=BigInteger),
    bindparam("last", type_=BigInteger),
)


class StateSeries(msgspec.Struct, frozen=True):
    """The number of markets in a state at each point."""

    state: int
    markets: list[int]


def state_history(conn: Connection, *, first: int, step: int, points: int) -> list[StateSeries]:
    """Return the numbers of markets in each state at ``points`` times.

    Args:
        conn: A transaction.
        first: The first point, in chain seconds.
        step: Seconds from a point to the next.
        points: How many.
    """
    last = first + step * (points - 1)
    changes = {int(state): [0] * points for state in MarketState}
    for state, point, change in conn.execute(
        _CHANGES, {"first": first, "step": step, "last": last}
    ):
        changes[state][point] += change
    return [StateSeries(state, list(accumulate(found))) for state, found in changes.items()]
