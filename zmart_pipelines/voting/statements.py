"""The SQL of ballots and tallies, which this package alone writes.

An open tally's row holds the ballots stored here, moved in the transaction of each ballot.
The votes cast on chain lie in the projection; where a wallet has both, the chain's record
counts. ``chain_for`` and ``chain_against`` are what they add to the row.

Statements are put together from constants of this file alone; values are always bound.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import ARRAY, Boolean, Integer, LargeBinary, Text, bindparam, text

_BALLOT_COLUMNS: Final = (
    "id, market_id, kind, round, wallet, choice, scheme, message, signature, nonce,"
    " idempotency_key, accepted_at"
)

# A dispute is decided by holders, so a chain vote of a wallet without shares adds nothing.
CHAIN_ADDS: Final = """
    SELECT
        count(*) FILTER (WHERE v.choice) - count(*) FILTER (WHERE b.choice) AS chain_for,
        count(*) FILTER (WHERE NOT v.choice) - count(*) FILTER (WHERE NOT b.choice)
            AS chain_against
    FROM market.chain_votes AS v
    LEFT JOIN voting.ballots AS b
        ON b.market_id = v.market_id AND b.kind = v.kind AND b.wallet = v.wallet
        AND b.round = {round} AND b.source = 'wallet'
    WHERE v.market_id = {market_id} AND v.kind = {kind} AND (
        v.kind = 'proposal' OR EXISTS (
            SELECT FROM market.positions AS p
            WHERE p.market_id = v.market_id AND p."user" = v.wallet
                AND p.shares_yes + p.shares_no > 0
        )
    )
"""

# Everything a ballot is judged by, in one look; also names the wallet to the row policies.
SITUATION: Final = text(
    f"""
WITH latest AS (
    SELECT round, status, votes_for, votes_against
    FROM voting.tallies
    WHERE market_id = :market_id AND kind = :kind
    ORDER BY round DESC LIMIT 1
), vote AS (
    SELECT
        set_config('app.wallet', :identity, true),
        (SELECT state FROM market.markets WHERE market_id = :market_id) AS state,
        coalesce((SELECT round FROM latest), 0) AS round_now,
        (SELECT status FROM latest) AS tally_status,
        coalesce((SELECT votes_for FROM latest), 0) AS votes_for,
        coalesce((SELECT votes_against FROM latest), 0) AS votes_against,
        EXISTS (
            SELECT FROM market.chain_votes
            WHERE market_id = :market_id AND kind = :kind AND wallet = :wallet
        ) AS voted_on_chain,
        EXISTS (
            SELECT FROM market.positions
            WHERE market_id = :market_id AND "user" = :wallet AND shares_yes + shares_no > 0
        ) AS holds_position
)
SELECT vote.*, added.*, earlier.*
FROM vote
CROSS JOIN LATERAL (
    {CHAIN_ADDS.format(round="vote.round_now", market_id=":market_id", kind=":kind")}
) AS added
LEFT JOIN (
    SELECT {_BALLOT_COLUMNS} FROM voting.ballots
    WHERE signature = :signature
        OR (wallet = :wallet AND idempotency_key = :idempotency_key)
        OR (market_id = :market_id AND kind = :kind AND wallet = :wallet AND source = 'wallet')
) AS earlier ON true
ORDER BY earlier.round
"""  # noqa: S608
).bindparams(
    bindparam("identity", type_=Text),
    bindparam("market_id", type_=LargeBinary),
    bindparam("kind", type_=Text),
    bindparam("wallet", type_=LargeBinary),
    bindparam("signature", type_=LargeBinary),
    bindparam("idempotency_key", type_=Text),
)

# The ballot, the tally's count and the user. No row: a ballot of this wallet, signature or
# key was there. Nulls for the tally: it is not open, and nothing may be committed. Taking
# the tally's row here, and not earlier, keeps casters apart no longer than the stream does;
# a freeze waits for it, so a ballot is counted or refused and never both stored and dropped.
STORE: Final = text(
    """
WITH ballot AS (
    INSERT INTO voting.ballots (market_id, kind, round, wallet, choice, scheme, message,
        signature, nonce, idempotency_key)
    VALUES (:market_id, :kind, :round, :wallet, :choice, :scheme, :message, :signature, :nonce,
        :idempotency_key)
    ON CONFLICT DO NOTHING
    RETURNING id, accepted_at, choice
), tally AS (
    INSERT INTO voting.tallies AS tallies (market_id, kind, round, votes_for, votes_against)
    SELECT :market_id, :kind, :round, ballot.choice::int, (NOT ballot.choice)::int FROM ballot
    ON CONFLICT (market_id, kind, round) DO UPDATE SET
        votes_for = tallies.votes_for + excluded.votes_for,
        votes_against = tallies.votes_against + excluded.votes_against
    WHERE tallies.status = 'open'
    RETURNING votes_for, votes_against
), seen AS (
    INSERT INTO community.users (wallet)
    SELECT :wallet FROM tally
    ON CONFLICT (wallet) DO UPDATE SET last_seen_at = now()
)
SELECT ballot.id, ballot.accepted_at, tally.votes_for, tally.votes_against
FROM ballot LEFT JOIN tally ON true
"""
).bindparams(
    bindparam("market_id", type_=LargeBinary),
    bindparam("kind", type_=Text),
    bindparam("round", type_=Integer),
    bindparam("wallet", type_=LargeBinary),
    bindparam("choice", type_=Boolean),
    bindparam("scheme", type_=Text),
    bindparam("message", type_=Text),
    bindparam("signature", type_=LargeBinary),
    bindparam("nonce", type_=Text),
    bindparam("idempotency_key", type_=Text),
)

_TALLY: Final = """
    t.market_id, t.kind, t.round, t.status, t.frozen_slot, t.frozen_chain_time, t.bundle_cid,
    t.votes_for + CASE t.status WHEN 'open' THEN added.chain_for ELSE 0 END AS votes_for,
    t.votes_against + CASE t.status WHEN 'open' THEN added.chain_against ELSE 0 END
        AS votes_against
"""
_ADDED: Final = CHAIN_ADDS.format(round="t.round", market_id="t.market_id", kind="t.kind")

# The latest round of the given markets.
CURRENT: Final = text(
    f"""
SELECT {_TALLY}
FROM unnest(cast(:market_ids AS bytea[])) AS asked (market_id)
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT * FROM voting.tallies
        WHERE tallies.market_id = asked.market_id AND tallies.kind = :kind
        ORDER BY round DESC LIMIT 1
    ) AS latest
    UNION ALL
    -- Nobody has voted here yet; the chain may have votes all the same.
    SELECT asked.market_id, :kind, 0, 'open', 0, 0, NULL, NULL, NULL, now(), NULL, NULL
    WHERE NOT EXISTS (
        SELECT FROM voting.tallies
        WHERE tallies.market_id = asked.market_id AND tallies.kind = :kind
    )
) AS t
CROSS JOIN LATERAL ({_ADDED}) AS added
"""  # noqa: S608
).bindparams(bindparam("market_ids", type_=ARRAY(LargeBinary)), bindparam("kind", type_=Text))

# Markets in a state with an open vote of a kind, by ballots or by votes on chain.
OPEN: Final = text(
    f"""
SELECT {_TALLY}
FROM (
    SELECT market_id, kind, round, status, votes_for, votes_against, frozen_slot,
        frozen_chain_time, bundle_cid
    FROM voting.tallies WHERE status = 'open' AND kind = :kind
    UNION ALL
    SELECT DISTINCT v.market_id, v.kind, 0, 'open', 0, 0, NULL::bigint, NULL::bigint, NULL
    FROM market.chain_votes AS v
    WHERE v.kind = :kind AND NOT EXISTS (
        SELECT FROM voting.tallies
        WHERE tallies.market_id = v.market_id AND tallies.kind = v.kind
    )
) AS t
JOIN market.markets AS m ON m.market_id = t.market_id AND m.state = :state
CROSS JOIN LATERAL ({_ADDED}) AS added
ORDER BY t.market_id
"""  # noqa: S608
).bindparams(bindparam("kind", type_=Text), bindparam("state", type_=Integer))

# Each tally beside what its ballots give: those stored here for an open one, those that
# were fixed at the freeze for a frozen one. Dropped: stored in a frozen round but not counted
# (where the chain's record replaces a ballot, its wallet is counted). Invented: counted as
# a wallet's ballot that is not stored so.
COMPARED: Final = text(
    """
SELECT t.market_id, t.kind, t.round, t.status, t.votes_for, t.votes_against,
    found.counted_for, found.counted_against, found.dropped, found.invented
FROM voting.tallies AS t
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE choice) AS counted_for,
        count(*) FILTER (WHERE NOT choice) AS counted_against, 0 AS dropped, 0 AS invented
    FROM voting.ballots AS b
    WHERE t.status = 'open' AND b.market_id = t.market_id AND b.kind = t.kind
        AND b.round = t.round AND b.source = 'wallet'
    HAVING t.status = 'open'
    UNION ALL
    SELECT count(*) FILTER (WHERE c.choice), count(*) FILTER (WHERE NOT c.choice),
        count(*) FILTER (WHERE c.wallet IS NULL),
        count(*) FILTER (WHERE c.source = 'wallet' AND c.choice IS DISTINCT FROM b.choice)
    FROM (
        SELECT * FROM voting.ballots AS b
        WHERE b.market_id = t.market_id AND b.kind = t.kind AND b.round = t.round
    ) AS b
    FULL JOIN (
        SELECT * FROM voting.counted_ballots AS c
        WHERE c.market_id = t.market_id AND c.kind = t.kind AND c.round = t.round
    ) AS c USING (wallet)
    HAVING t.status <> 'open'
) AS found
WHERE (t.votes_for, t.votes_against) <> (found.counted_for, found.counted_against)
    OR found.dropped > 0 OR found.invented > 0
ORDER BY t.market_id, t.kind, t.round
"""
)
