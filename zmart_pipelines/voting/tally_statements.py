"""The SQL of tallies, which only this package writes.

The row of an open tally counts the ballots stored here and is updated in the transaction of each
ballot. The votes cast on chain are in the projection; where a wallet has both, the vote on chain
counts. ``chain_for`` and ``chain_against`` are what the votes on chain add to the row.

Statements are composed from constants of this file only; values are always bound.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import ARRAY, BigInteger, Integer, LargeBinary, Text, bindparam, text

# The votes on chain with their weights; in a dispute, of wallets that held shares when it began.
CHAIN_VOTES: Final = """
    SELECT v.market_id, v.kind, v.wallet, v.choice,
        CASE v.kind WHEN 'dispute' THEN voting.ballot_weight(held.shares, {unit}) ELSE 1 END
            AS weight
    FROM market.chain_votes AS v
    LEFT JOIN LATERAL voting.shares_at_dispute(v.market_id, v.wallet) AS held ON v.kind = 'dispute'
    WHERE v.market_id = {market_id} AND v.kind = {kind}
        AND (v.kind = 'proposal' OR held.shares > 0)
"""
CHAIN_VOTE_TOTALS: Final = (
    """
    SELECT
        (coalesce(sum(v.weight) FILTER (WHERE v.choice), 0)
            - coalesce(sum(b.weight) FILTER (WHERE b.choice), 0))::bigint AS chain_for,
        (coalesce(sum(v.weight) FILTER (WHERE NOT v.choice), 0)
            - coalesce(sum(b.weight) FILTER (WHERE NOT b.choice), 0))::bigint AS chain_against,
        count(v.wallet) - count(b.wallet) AS chain_ballots
    FROM ("""
    + CHAIN_VOTES
    + """) AS v
    LEFT JOIN voting.ballots AS b
        ON b.market_id = v.market_id AND b.kind = v.kind AND b.wallet = v.wallet
        AND b.round = {round} AND b.source = 'wallet'
"""
)

_TALLY: Final = """
    t.market_id, t.kind, t.round, t.status, t.frozen_slot, t.frozen_chain_time, t.bundle_cid,
    t.weight_unit, t.opened_chain_time,
    t.votes_for + CASE t.status WHEN 'open' THEN added.chain_for ELSE 0 END AS votes_for,
    t.votes_against + CASE t.status WHEN 'open' THEN added.chain_against ELSE 0 END
        AS votes_against,
    t.ballots + CASE t.status WHEN 'open' THEN added.chain_ballots ELSE 0 END AS ballots
"""
_COLUMNS: Final = """
    market_id, kind, round, status, votes_for, votes_against, ballots, weight_unit, frozen_slot,
    frozen_chain_time, bundle_cid, opened_chain_time
"""
_NO_BALLOTS: Final = "0, 'open', 0, 0, 0, NULL::bigint, NULL::bigint, NULL::bigint, NULL, NULL"
_CHAIN_TOTALS: Final = CHAIN_VOTE_TOTALS.format(
    round="t.round", market_id="t.market_id", kind="t.kind", unit="t.weight_unit"
)
_KIND: Final = bindparam("kind", type_=Text)

# The latest round of the given markets; ``state`` is null for a market that is not known.
CURRENT: Final = text(
    f"""
SELECT {_TALLY}, (SELECT state FROM market.markets AS m WHERE m.market_id = t.market_id) AS state
FROM unnest(cast(:market_ids AS bytea[])) AS requested (market_id)
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT {_COLUMNS} FROM voting.tallies
        WHERE tallies.market_id = requested.market_id AND tallies.kind = :kind
        ORDER BY round DESC LIMIT 1
    ) AS latest
    UNION ALL
    -- No ballot has been cast here yet; there may still be votes on chain.
    SELECT requested.market_id, :kind, {_NO_BALLOTS}
    WHERE NOT EXISTS (
        SELECT FROM voting.tallies
        WHERE tallies.market_id = requested.market_id AND tallies.kind = :kind
    )
) AS t
CROSS JOIN LATERAL ({_CHAIN_TOTALS}) AS added
ORDER BY t.market_id
"""  # noqa: S608
).bindparams(bindparam("market_ids", type_=ARRAY(LargeBinary)), _KIND)

# Enqueues every open vote, for a scan under other rules than the last.
ENQUEUE_OPEN_PROPOSALS: Final = text(
    """
INSERT INTO voting.change_queue (market_id, kind)
SELECT m.market_id, 'proposal' FROM market.markets AS m
WHERE m.state = :state AND NOT EXISTS (
    SELECT FROM voting.change_queue AS c WHERE c.market_id = m.market_id AND c.kind = 'proposal'
)
"""
).bindparams(bindparam("state", type_=Integer))

DEQUEUE: Final = text("DELETE FROM voting.change_queue WHERE id = ANY(:numbers)").bindparams(
    bindparam("numbers", type_=ARRAY(BigInteger))
)

# The weights in a dispute of the votes on chain of these wallets.
CHAIN_VOTE_WEIGHTS: Final = text(
    """
SELECT requested.wallet, voting.ballot_weight(held.shares, :unit) AS weight
FROM unnest(cast(:wallets AS bytea[])) AS requested (wallet)
LEFT JOIN LATERAL voting.shares_at_dispute(:market_id, requested.wallet) AS held ON true
"""
).bindparams(
    bindparam("wallets", type_=ARRAY(LargeBinary)),
    bindparam("market_id", type_=LargeBinary),
    bindparam("unit", type_=BigInteger),
)

# Each tally that differs from the count of its ballots: those stored here for an open one, those
# that were recorded at the freeze for a frozen one. not_counted: stored in a frozen round but not
# counted (where a vote on chain replaces a ballot, its wallet is counted). not_stored: counted as
# a wallet's ballot that is not stored so.
TALLY_MISMATCHES: Final = text(
    """
SELECT t.market_id, t.kind, t.round, t.status, t.votes_for, t.votes_against, t.ballots,
    found.counted, found.counted_for, found.counted_against, found.not_counted, found.not_stored
FROM voting.tallies AS t
CROSS JOIN LATERAL (
    SELECT count(*) AS counted,
        coalesce(sum(weight) FILTER (WHERE choice), 0)::bigint AS counted_for,
        coalesce(sum(weight) FILTER (WHERE NOT choice), 0)::bigint AS counted_against,
        0 AS not_counted, 0 AS not_stored
    FROM voting.ballots AS b
    WHERE t.status = 'open' AND b.market_id = t.market_id AND b.kind = t.kind
        AND b.round = t.round AND b.source = 'wallet'
    HAVING t.status = 'open'
    UNION ALL
    SELECT count(c.counted), coalesce(sum(c.weight) FILTER (WHERE c.choice), 0)::bigint,
        coalesce(sum(c.weight) FILTER (WHERE NOT c.choice), 0)::bigint,
        count(*) FILTER (WHERE c.counted IS NULL),
        count(*) FILTER (WHERE c.source = 'wallet'
            AND (c.choice, c.weight) IS DISTINCT FROM (b.choice, b.weight))
    FROM (
        SELECT wallet, choice, weight FROM voting.ballots AS b
        WHERE b.market_id = t.market_id AND b.kind = t.kind AND b.round = t.round
    ) AS b
    FULL JOIN (
        SELECT wallet, choice, weight, source, true AS counted
        FROM voting.counted_ballots AS c
        WHERE c.market_id = t.market_id AND c.kind = t.kind AND c.round = t.round
    ) AS c USING (wallet)
    HAVING t.status <> 'open'
) AS found
WHERE (t.votes_for, t.votes_against, t.ballots)
        <> (found.counted_for, found.counted_against, found.counted)
    OR found.not_counted > 0 OR found.not_stored > 0
ORDER BY t.market_id, t.kind, t.round
"""
)
