"""The SQL of casting: many ballots at once, each validated by itself.

In psycopg's own parameter style, because its binary arrays are fast. Statements are composed from
constants of this package only; values are always bound.
"""

from __future__ import annotations

from typing import Final

from zmart_pipelines.voting.tally_statements import CHAIN_VOTE_TOTALS

BALLOT_COLUMNS: Final = (
    "id, market_id, kind, round, wallet, choice, weight, scheme, message, signature, nonce,"
    " idempotency_key, accepted_at"
)

# Everything that ballots are validated by. For each ballot one row per earlier ballot that it may
# repeat or conflict with, or one row of nulls. A vote without any ballot yet would get the given
# weight unit (for disputes), or the smallest larger one that fits. Parameters: arrays of number,
# market, kind, wallet, signature, idempotency key; the unit.
SITUATION: Final = f"""
WITH requested AS MATERIALIZED (
    SELECT * FROM unnest(%b::int[], %b::bytea[], %b::text[], %b::bytea[], %b::bytea[], %b::text[])
        AS a (number, market_id, kind, wallet, signature, idempotency_key)
), votes AS MATERIALIZED (
    SELECT v.market_id, v.kind, m.state,
        coalesce(latest.round, 0) AS round_now,
        latest.round IS NULL AS unopened,
        latest.status AS tally_status,
        coalesce(latest.votes_for, 0) AS votes_for,
        coalesce(latest.votes_against, 0) AS votes_against,
        CASE WHEN latest.round IS NOT NULL THEN latest.weight_unit
            WHEN v.kind = 'dispute' THEN voting.fitting_weight_unit(v.market_id, %b::bigint)
        END AS weight_unit
    FROM (SELECT DISTINCT market_id, kind FROM requested) AS v
    LEFT JOIN market.markets AS m ON m.market_id = v.market_id
    LEFT JOIN LATERAL (
        SELECT * FROM voting.tallies AS t
        WHERE t.market_id = v.market_id AND t.kind = v.kind
        ORDER BY t.round DESC LIMIT 1
    ) AS latest ON true
), counted AS MATERIALIZED (
    SELECT votes.*, added.chain_for, added.chain_against
    FROM votes CROSS JOIN LATERAL ({
    CHAIN_VOTE_TOTALS.format(
        round="votes.round_now",
        market_id="votes.market_id",
        kind="votes.kind",
        unit="votes.weight_unit",
    )
}) AS added
)
SELECT requested.number, c.state, c.round_now, c.unopened, c.tally_status, c.votes_for,
    c.votes_against, c.weight_unit, c.chain_for, c.chain_against,
    EXISTS (
        SELECT FROM market.chain_votes AS v
        WHERE v.market_id = requested.market_id AND v.kind = requested.kind
            AND v.wallet = requested.wallet
    ) AS voted_on_chain,
    coalesce(held.shares, 0) AS shares,
    voting.ballot_weight(held.shares, c.weight_unit) AS weight_now,
    earlier.*
FROM requested
JOIN counted AS c ON c.market_id = requested.market_id AND c.kind = requested.kind
LEFT JOIN LATERAL voting.shares_at_dispute(requested.market_id, requested.wallet) AS held
    ON requested.kind = 'dispute'
LEFT JOIN LATERAL (
    SELECT {BALLOT_COLUMNS} FROM voting.ballots AS b
    WHERE b.id IN (
        SELECT id FROM voting.ballots AS s WHERE s.signature = requested.signature
        UNION ALL
        SELECT id FROM voting.ballots AS k
        WHERE k.wallet = requested.wallet AND k.idempotency_key = requested.idempotency_key
        UNION ALL
        SELECT id FROM voting.ballots AS w
        WHERE w.market_id = requested.market_id AND w.kind = requested.kind
            AND w.wallet = requested.wallet AND w.source = 'wallet'
    )
) AS earlier ON true
ORDER BY requested.number, earlier.round
"""  # noqa: S608

# Inserts the rounds that have no ballot yet. Arrays: market, kind, round, weight unit.
OPEN_ROUNDS: Final = """
INSERT INTO voting.tallies (market_id, kind, round, weight_unit)
SELECT * FROM unnest(%b::bytea[], %b::text[], %b::int[], %b::bigint[])
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
"""

# From here to the commit these rounds cannot be frozen. The rows are locked in a fixed order, so
# that two batches never deadlock. Arrays: market, kind, round.
LOCK_ROUNDS: Final = """
SELECT t.market_id, t.kind, t.round, t.status, t.votes_for, t.votes_against
FROM unnest(%b::bytea[], %b::text[], %b::int[]) AS a (market_id, kind, round)
JOIN voting.tallies AS t USING (market_id, kind, round)
ORDER BY t.market_id, t.kind, t.round
FOR UPDATE OF t
"""

# The wallets that this transaction stores ballots of; row-level security reads it.
SET_VOTERS: Final = "SELECT set_config('app.voters', %b::text, true)"

# Ballots (in the order of wallets, as everywhere), counts, queued changes and users. A ballot
# without a row in the result was not stored: one of its wallet, signature or key exists, or its
# text is a sign-in text whose signature has served another request. Such a signature is recorded,
# so that it serves no other request later; the own text is of no use but for its vote.
# Arrays: market, kind, round, wallet, choice, weight, scheme, message, signature, nonce, key.
INSERT_BALLOTS: Final = """
WITH signed AS MATERIALIZED (
    SELECT * FROM unnest(%b::bytea[], %b::text[], %b::int[], %b::bytea[], %b::bool[],
        %b::bigint[], %b::text[], %b::text[], %b::bytea[], %b::text[], %b::text[])
        AS a (market_id, kind, round, wallet, choice, weight, scheme, message, signature, nonce,
            idempotency_key)
), sign_in AS (
    INSERT INTO community.signed_requests (signature, wallet, action, digest)
    SELECT signature, wallet, 'ballot',
        sha256(market_id || convert_to(kind || choice::text, 'UTF8'))
    FROM signed WHERE scheme <> 'zmart-1' ORDER BY wallet
    ON CONFLICT DO NOTHING
    RETURNING signature
), ballot AS (
    INSERT INTO voting.ballots (market_id, kind, round, wallet, choice, weight, scheme, message,
        signature, nonce, idempotency_key)
    SELECT * FROM signed
    WHERE scheme = 'zmart-1' OR signature IN (SELECT signature FROM sign_in)
    ORDER BY wallet
    ON CONFLICT DO NOTHING
    RETURNING id, market_id, kind, round, wallet, choice, weight, accepted_at
), counts AS (
    SELECT market_id, kind, round, count(*) AS ballots,
        coalesce(sum(weight) FILTER (WHERE choice), 0)::bigint AS votes_for,
        coalesce(sum(weight) FILTER (WHERE NOT choice), 0)::bigint AS votes_against
    FROM ballot GROUP BY market_id, kind, round
), tally AS (
    UPDATE voting.tallies AS t
    SET votes_for = t.votes_for + counts.votes_for,
        votes_against = t.votes_against + counts.votes_against,
        ballots = t.ballots + counts.ballots
    FROM counts
    WHERE t.market_id = counts.market_id AND t.kind = counts.kind AND t.round = counts.round
), queued AS (
    INSERT INTO voting.change_queue (market_id, kind) SELECT DISTINCT market_id, kind FROM ballot
), seen AS (
    INSERT INTO community.users (wallet)
    SELECT wallet FROM ballot ORDER BY wallet
    ON CONFLICT (wallet) DO UPDATE SET last_seen_at = now()
)
SELECT id, wallet, accepted_at FROM ballot ORDER BY id
"""
