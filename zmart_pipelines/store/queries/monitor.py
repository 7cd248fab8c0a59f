"""What the tables say of markets, fees, the configuration and connections, in one statement."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import ARRAY, Connection, Integer, bindparam, text

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries.row_mapping import one

# Markets that an alert names.
MOST_NAMED = 20


class MonitorFacts(msgspec.Struct, frozen=True):
    """What the monitor's rules judge.

    Attributes:
        now: The database's clock.
        stuck: For each state with stuck markets its number, how many they are, since which chain
            second the oldest is in the state, and the ids of the oldest ones in hex.
        withdrawn: Ids in hex of markets whose liquidity was withdrawn before all winners claimed.
        config_changed_at: Chain second of the last change of the configuration since the first
            market, if any.
        fees_hour: Lamports that our transactions cost in the last hour.
        fees_day: The same in the last day.
        connections: Connections of clients to Postgres.
        max_connections: How many it accepts.
    """

    now: datetime
    stuck: list[tuple[int, int, int, list[str]]]
    withdrawn: list[str]
    config_changed_at: int | None
    fees_hour: int
    fees_day: int
    connections: int
    max_connections: int


_FACTS = text(
    f"""
WITH limits AS (
    SELECT * FROM unnest(cast(:states AS int[]), cast(:seconds AS int[])) AS l (state, seconds)
), aged AS (
    SELECT m.state, m.market_id, l.seconds, CASE m.state
        WHEN {int(MarketState.PROPOSED)} THEN m.created_at
        WHEN {int(MarketState.APPROVED)} THEN m.approved_at
        WHEN {int(MarketState.ACTIVE)} THEN greatest(m.activated_at, (
            SELECT extract(epoch FROM max(d.ends_at))::bigint FROM community.market_drafts AS d
            WHERE d.market_id = m.market_id AND d.matched_at IS NOT NULL
        ))
        WHEN {int(MarketState.RESOLVING)} THEN m.resolution_proposed_at
        ELSE m.dispute_initiated_at END AS since
    FROM market.markets AS m JOIN limits AS l ON l.state = m.state
), stuck AS (
    SELECT state, count(*) AS number, min(since) AS since,
        (array_agg(encode(market_id, 'hex') ORDER BY since))[1\\:{MOST_NAMED}] AS ids
    FROM aged WHERE since < extract(epoch FROM now())::bigint - seconds GROUP BY state
), withdrawn AS (
    SELECT encode(w.market_id, 'hex') AS id FROM market.withdrawals AS w
    JOIN market.markets AS m ON m.market_id = w.market_id
    WHERE EXISTS (
        SELECT FROM market.positions AS p
        WHERE p.market_id = w.market_id AND NOT p.has_claimed AND CASE m.final_outcome
            WHEN true THEN p.shares_yes > 0 WHEN false THEN p.shares_no > 0
            ELSE p.total_invested > 0 END
    ) ORDER BY w.withdrawn_at DESC LIMIT {MOST_NAMED}
)
SELECT clock_timestamp() AS now,
    coalesce((SELECT jsonb_agg(jsonb_build_array(state, number, since, to_jsonb(ids))
        ORDER BY state) FROM stuck), '[]') AS stuck,
    coalesce((SELECT array_agg(id) FROM withdrawn), '{{}}') AS withdrawn,
    (SELECT max(t.block_time) FROM chain.events AS e
        JOIN chain.transactions AS t ON t.signature = e.signature
        WHERE e.name IN ('ConfigUpdated', 'ProtocolPauseStatusChanged')
            AND e.commitment <> 'orphaned'
            -- Before the first market it is the deployment's own configuration.
            AND EXISTS (SELECT FROM market.markets AS m WHERE m.created_at < t.block_time)
    ) AS config_changed_at,
    (SELECT coalesce(sum(fee), 0)::bigint FROM ops.attempts
        WHERE signed_at > now() - interval '1 hour') AS fees_hour,
    (SELECT coalesce(sum(fee), 0)::bigint FROM ops.attempts
        WHERE signed_at > now() - interval '1 day') AS fees_day,
    (SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database
        WHERE datid <> 0) AS connections,
    current_setting('max_connections')::int AS max_connections
"""  # noqa: S608 - only numbers of ours
).bindparams(bindparam("states", type_=ARRAY(Integer)), bindparam("seconds", type_=ARRAY(Integer)))


def monitor_facts(conn: Connection, limits: dict[MarketState, int]) -> MonitorFacts:
    """Read the facts.

    Args:
        conn: Reads the tables.
        limits: Seconds after which a market in this state counts as stuck.
    """
    values = {"states": [int(state) for state in limits], "seconds": list(limits.values())}
    return one(MonitorFacts, conn.execute(_FACTS, values).one())
