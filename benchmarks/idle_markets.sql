-- Markets for which nothing is due, in the mix of a product that has run for a while: of ten,
-- three are proposed with too few ballots (one of them old, with its alert open), one is
-- approved, three trade (one past its end time, with its alert open), one is being resolved (by
-- an unknown resolver, with its alert open), one is disputed, one finalized.
-- Parameters: {markets} their number, {now} the chain's time.
SET ROLE zmart_owner;

CREATE TEMPORARY TABLE idle AS
SELECT decode(lpad(to_hex(n + 1099511627776), 64, '0'), 'hex') AS id,
    decode(lpad(to_hex(n + 2199023255552), 64, '0'), 'hex') AS address,
    n, n % 10 AS role,
    (ARRAY[
        {PROPOSED}, {PROPOSED}, {PROPOSED}, {APPROVED}, {ACTIVE}, {ACTIVE}, {ACTIVE}, {RESOLVING},
        {DISPUTED}, {FINALIZED}
    ])[1 + n % 10] AS state
FROM generate_series(1, {markets}) AS n;

INSERT INTO market.markets
SELECT id, address, id, state, 100000000000, 10000000, 10000000, 10000000, 10000000, 0,
    {now} - CASE role WHEN 0 THEN 100000 ELSE 100 END, 0, 0, {now} - 20000, 0, 0, NULL, NULL, NULL, NULL,
    NULL, {now} - 20000, NULL, 0, 0, 0, 0, 0, 0, false, NULL, 500000000, 0, 1, 0, 0, 'finalized', now()
FROM idle;

ALTER TABLE voting.tallies DISABLE TRIGGER guard_new; -- which refuses tallies that begin frozen
INSERT INTO voting.tallies (market_id, kind, round, status, votes_for, votes_against, ballots,
    frozen_slot, frozen_chain_time)
SELECT id, 'proposal', 0, CASE WHEN state = {PROPOSED} THEN 'open' ELSE 'frozen' END, 2, 1, 3,
    CASE WHEN state <> {PROPOSED} THEN 1 END, CASE WHEN state <> {PROPOSED} THEN 1 END
FROM idle
UNION ALL
SELECT id, 'dispute', 0, 'open', 2, 1, 3, NULL, NULL FROM idle WHERE state = {DISPUTED};
ALTER TABLE voting.tallies ENABLE TRIGGER guard_new;

INSERT INTO voting.ballots (market_id, kind, wallet, choice, scheme, message, signature, nonce)
SELECT id, CASE state WHEN {DISPUTED} THEN 'dispute' ELSE 'proposal' END, sha256(id || int4send(b)), b < 3,
    'zmart-1', 'message', sha512(id || int4send(b)), 'nonce'
FROM idle CROSS JOIN generate_series(1, 3) AS b WHERE state IN ({PROPOSED}, {DISPUTED});

INSERT INTO ops.intents (market_id, action, round, arguments, status)
SELECT id, action, 0, '{{"likes": 2, "dislikes": 1}}'::jsonb, 'final'
FROM idle CROSS JOIN unnest(ARRAY['aggregate_proposal_votes', 'approve_proposal']) AS action
WHERE state <> {PROPOSED}
UNION ALL
SELECT id, 'finalize_market', 0, '{{}}'::jsonb, 'final' FROM idle WHERE state = {FINALIZED};

INSERT INTO community.market_drafts (market_id, creator, nonce, question_hash, document, question,
    category, ends_at, expires_at, matched_at)
SELECT id, id, sha256(id), 'hash', '', 'Will this market end one day?', 'other',
    to_timestamp({now} + CASE role WHEN 4 THEN -50000 ELSE 100000 END), now(), now()
FROM idle;

INSERT INTO ops.alerts (topic, market_id, severity, message)
SELECT CASE role WHEN 0 THEN 'proposal_review' WHEN 4 THEN 'resolution_due'
        ELSE 'unexpected_resolution' END,
    id, 'medium', 'already reported'
FROM idle WHERE role IN (0, 4, 7);

DROP TABLE idle;
RESET ROLE;
