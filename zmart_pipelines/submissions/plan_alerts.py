"""The open alerts of a plan: which of them a plan has to raise again or clear."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import ARRAY, Connection, Integer, LargeBinary, Text, bindparam, text

from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.submissions.due_markets import scan_start
from zmart_pipelines.submissions.policies import TOPIC_STATES
from zmart_pipelines.voting import change_queue

# Raised once: these alerts stay open while their market is in the state, and the market is not
# read again until it leaves that state. All other topics are raised again by each plan.
_LASTING: Final = {
    "proposal_review": MarketState.PROPOSED,
    "resolution_due": MarketState.ACTIVE,
    "unexpected_resolution": MarketState.RESOLVING,
}

# The open alerts that each plan raises again or clears, with the state of their market.
_REPEATED = text(
    """
SELECT a.topic, a.market_id, a.subject, m.state FROM ops.alerts AS a
LEFT JOIN market.markets AS m ON m.market_id = a.market_id
WHERE a.cleared_at IS NULL AND a.topic = ANY(:topics)
"""
).bindparams(
    bindparam("topics", [topic for topic in TOPIC_STATES if topic not in _LASTING], ARRAY(Text))
)

# Open lasting alerts whose market has left the state: of all markets, or of the given ones.
_OUTLIVED = """
SELECT a.topic, a.market_id, a.subject
FROM unnest(cast(:topics AS text[]), cast(:states AS int[])) AS lasting (topic, state)
JOIN ops.alerts AS a ON a.topic = lasting.topic AND a.cleared_at IS NULL
LEFT JOIN market.markets AS m ON m.state = lasting.state AND m.market_id = a.market_id
WHERE m.market_id IS NULL
"""
_LASTING_STATES = (
    bindparam("topics", list(_LASTING), ARRAY(Text)),
    bindparam("states", [int(state) for state in _LASTING.values()], ARRAY(Integer)),
)
_ALL_OUTLIVED = text(_OUTLIVED).bindparams(*_LASTING_STATES)
_OUTLIVED_OF_MARKETS = text(f"{_OUTLIVED} AND a.market_id = ANY(:markets)").bindparams(
    *_LASTING_STATES, bindparam("markets", type_=ARRAY(LargeBinary))
)


def alerts_to_recheck(
    conn: Connection, states: Collection[MarketState], chain_time: int
) -> list[AlertKey]:
    """Return the keys of open alerts that a plan must raise again or clear.

    These are the alerts that each plan raises, of markets that this plan covers or whose state no
    longer fits the topic; and lasting alerts that their market has outlived. Of the latter, only
    markets that changed their state since the last call are read, and all every ten minutes; the
    changes are dequeued once the caller commits.

    Args:
        conn: The transaction.
        states: The market states that the plan covers.
        chain_time: The chain's clock, Unix seconds.
    """
    keys = [
        AlertKey(row.topic, row.market_id, row.subject)
        for row in conn.execute(_REPEATED)
        if row.state in states or row.state not in TOPIC_STATES[row.topic]
    ]
    if scan_start(conn, "alerts", chain_time) == 0:
        return keys + [AlertKey(*row) for row in conn.execute(_ALL_OUTLIVED)]
    changes = change_queue.pending(conn, "state")
    change_queue.dequeue(conn, [number for numbers in changes.values() for number in numbers])
    if changes:
        outlived = conn.execute(_OUTLIVED_OF_MARKETS, {"markets": list(changes)})
        keys += [AlertKey(*row) for row in outlived]
    return keys
