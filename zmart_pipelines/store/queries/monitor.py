"""What the tables say of markets, fees, the configuration and connections, in one statement."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import ARRAY, Connection, Integer, LargeBinary, bindparam, text

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import market_parts
from zmart_pipelines.store.queries.row_mapping import one

# Markets that an alert names.
MOST_NAMED = 20
# The topic of alerts of markets whose liquidity was withdrawn before the claims.
EARLY_WITHDRAWAL = "early_withdrawal"


class MonitorFacts(msgspec.Struct, frozen=True):
    """What the monitor's rules judge.

    Attributes:
        now: The database's clock.
        stuck: For each state with stuck markets its number, how many they are, since which chain
            second the oldest is in the state, and the ids of the oldest ones in hex.
        withdrawn: Ids in hex of markets whose liquidity was withdrawn before all winners claimed,
            and of which no operator has acknowledged that.
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


# Each part reads by an index what it returns, and little else: a market that moves costs nothing,
# however many there are. The states are literals, so that Postgres uses the partial indexes.
_FACTS = text(
    f"""
WITH before AS MATERIALIZED (
    SELECT state, extract(epoch FROM now())::bigint - seconds AS at
    FROM unnest(cast(:states AS int[]), cast(:seconds AS int[])) AS l (state, seconds)
), stuck AS MATERIALIZED (
    SELECT state, market_id, approved_at AS since FROM market.markets
    WHERE state = {int(MarketState.APPROVED)}
        AND approved_at < (SELECT at FROM before WHERE state = {int(MarketState.APPROVED)})
    UNION ALL
    SELECT m.state, market_id, greatest(m.activated_at, l.ends_at / 1000000)
    FROM market.listings AS l JOIN market.markets AS m USING (market_id)
    WHERE l.state = {int(MarketState.ACTIVE)}
        AND l.ends_at < (
            SELECT at * 1000000 FROM before WHERE state = {int(MarketState.ACTIVE)})
        AND m.activated_at < (SELECT at FROM before WHERE state = {int(MarketState.ACTIVE)})
    UNION ALL
    -- Without an end time; it was created before it was activated.
    SELECT m.state, market_id, m.activated_at
    FROM market.listings AS l JOIN market.markets AS m USING (market_id)
    WHERE l.state = {int(MarketState.ACTIVE)} AND l.ends_at IS NULL
        AND l.created_at < (SELECT at FROM before WHERE state = {int(MarketState.ACTIVE)})
        AND m.activated_at < (SELECT at FROM before WHERE state = {int(MarketState.ACTIVE)})
    UNION ALL
    SELECT state, market_id, resolution_proposed_at FROM market.markets
    WHERE state = {int(MarketState.RESOLVING)} AND resolution_proposed_at
        < (SELECT at FROM before WHERE state = {int(MarketState.RESOLVING)})
    UNION ALL
    SELECT state, market_id, dispute_initiated_at FROM market.markets
    WHERE state = {int(MarketState.DISPUTED)} AND dispute_initiated_at
        < (SELECT at FROM before WHERE state = {int(MarketState.DISPUTED)})
), states AS (
    SELECT state, count(*) AS number, min(since) AS since FROM stuck GROUP BY state
), named AS (
    SELECT state, number, since, ARRAY(
        SELECT encode(s.market_id, 'hex') FROM stuck AS s WHERE s.state = states.state
        ORDER BY s.since, s.market_id LIMIT {MOST_NAMED}
    ) AS ids FROM states
), suspects AS (
    SELECT market_id FROM market.markets
    WHERE state = {int(MarketState.FINALIZED)} AND updated_at >= coalesce(
        (SELECT last_success_at - interval '2 minutes' FROM ops.heartbeats
            WHERE service = :reader), '-infinity')
    UNION
    SELECT market_id FROM market.markets WHERE market_id BETWEEN :first AND :last
    UNION
    SELECT market_id FROM ops.alerts
    WHERE topic = '{EARLY_WITHDRAWAL}' AND cleared_at IS NULL AND market_id IS NOT NULL
), withdrawn AS (
    SELECT encode(w.market_id, 'hex') AS id
    FROM suspects JOIN market.withdrawals AS w USING (market_id)
    JOIN market.markets AS m USING (market_id)
    WHERE EXISTS (
        SELECT FROM market.positions AS p
        WHERE p.market_id = w.market_id AND NOT p.has_claimed AND CASE m.final_outcome
            WHEN true THEN p.shares_yes > 0 WHEN false THEN p.shares_no > 0
            ELSE p.total_invested > 0 END
    ) AND NOT EXISTS (
        -- An operator has accepted it; alerts are deleted after a time, the audit log is not.
        SELECT FROM ops.audit AS a
        WHERE a.action = 'acknowledge_alert' AND a.details->>'topic' = '{EARLY_WITHDRAWAL}'
            AND a.details->>'market' = encode(w.market_id, 'hex') AND a.reason <> ''
    ) ORDER BY w.withdrawn_at DESC LIMIT {MOST_NAMED}
), fees AS (
    SELECT coalesce(sum(fee), 0)::bigint AS day, coalesce(
        sum(fee) FILTER (WHERE signed_at > now() - interval '1 hour'), 0)::bigint AS hour
    FROM ops.attempts WHERE signed_at > now() - interval '1 day'
)
SELECT clock_timestamp() AS now,
    coalesce((SELECT jsonb_agg(jsonb_build_array(state, number, since, to_jsonb(ids))
        ORDER BY state) FROM named), '[]') AS stuck,
    coalesce((SELECT array_agg(id) FROM withdrawn), '{{}}') AS withdrawn,
    (SELECT max(t.block_time) FROM chain.events AS e
        JOIN chain.transactions AS t ON t.signature = e.signature
        WHERE e.name IN ('ConfigUpdated', 'ProtocolPauseStatusChanged')
            AND e.commitment <> 'orphaned'
            -- Before the first market it is the deployment's own configuration.
            AND EXISTS (SELECT FROM market.markets AS m WHERE m.created_at < t.block_time)
    ) AS config_changed_at,
    fees.hour AS fees_hour,
    fees.day AS fees_day,
    (SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database
        WHERE datid <> 0) AS connections,
    current_setting('max_connections')::int AS max_connections
FROM fees
"""  # noqa: S608 - only constants of ours
).bindparams(
    bindparam("states", type_=ARRAY(Integer)),
    bindparam("seconds", type_=ARRAY(Integer)),
    bindparam("first", type_=LargeBinary),
    bindparam("last", type_=LargeBinary),
)


def monitor_facts(
    conn: Connection, limits: dict[MarketState, int], *, reader: str, part: int
) -> MonitorFacts:
    """Read the facts.

    Which withdrawals came before the claims is asked of the markets that changed, of those that an
    open alert names, and of one part of all: a withdrawal changes its market's row.

    Args:
        conn: Reads the tables.
        limits: Seconds after which a market in this state counts as stuck: of approved, active,
            resolving and disputed markets.
        reader: Service whose last success in ``ops.heartbeats`` says what has been seen.
        part: Of all markets; calls with changing numbers find every market at some time.
    """
    values = {
        "states": [int(state) for state in limits],
        "seconds": list(limits.values()),
        "reader": reader,
        **market_parts.bounds(part),
    }
    return one(MonitorFacts, conn.execute(_FACTS, values).one())
