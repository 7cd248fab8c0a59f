-- Weights of dispute ballots, holdings as of the dispute, and which votes have news.
SET LOCAL ROLE zmart_owner;

-- NULL: each wallet counts once. Else the shares (9 decimals) that make one vote of a
-- dispute; fixed when the vote's first row is written, so that no setting changes the rules
-- of a vote that is going on.
ALTER TABLE voting.tallies ADD COLUMN weight_unit BIGINT
    CONSTRAINT ck_tallies_weight_unit CHECK (weight_unit > 0);
-- Wallets behind the counts, which are sums of weights.
ALTER TABLE voting.tallies ADD COLUMN ballots BIGINT DEFAULT '0' NOT NULL
    CONSTRAINT ck_tallies_ballots CHECK (ballots >= 0);
UPDATE voting.tallies SET ballots = votes_for + votes_against;
ALTER TABLE voting.ballots ADD COLUMN weight BIGINT DEFAULT '1' NOT NULL
    CONSTRAINT ck_ballots_weight CHECK (weight > 0);
ALTER TABLE voting.counted_ballots ADD COLUMN weight BIGINT DEFAULT '1' NOT NULL
    CONSTRAINT ck_counted_ballots_weight CHECK (weight > 0);
GRANT UPDATE (ballots) ON voting.tallies TO zmart_api;

CREATE INDEX ix_events_disputes
    ON chain.events (market_id, slot) WHERE name = 'DisputeInitiated';

-- Shares of both sides that a wallet held at the end of the slot in which the market was
-- disputed (last): what it holds now, without the trades since. No row where it never traded.
CREATE FUNCTION voting.holding(market BYTEA, holder BYTEA) RETURNS TABLE (shares NUMERIC)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT p.shares_yes + p.shares_no - coalesce((
        SELECT sum(CASE t.trade_type WHEN 'buy' THEN t.shares ELSE -t.shares END)
        FROM market.trades AS t
        WHERE t.market_id = market AND t."user" = holder AND t.slot > (
            SELECT max(e.slot) FROM chain.events AS e
            WHERE e.market_id = market AND e.name = 'DisputeInitiated'
                AND e.commitment <> 'orphaned'
        )
    ), 0)
    FROM market.positions AS p
    WHERE p.market_id = market AND p."user" = holder
$$;

-- What the ballot of a holder of ``shares`` counts: whole units, but at least one vote.
CREATE FUNCTION voting.weight(shares NUMERIC, unit BIGINT) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN unit IS NULL THEN 1 ELSE greatest(1, div(shares, unit))::bigint END
$$;

-- As before, with the weight of each ballot; a dispute is for those who held shares when it
-- began.
DROP VIEW voting.effective_ballots;
CREATE VIEW voting.effective_ballots WITH (security_invoker = true) AS
SELECT
    rounds.market_id,
    rounds.kind,
    rounds.round,
    votes.wallet,
    'chain' AS source,
    votes.choice,
    CASE votes.kind WHEN 'dispute' THEN voting.weight(held.shares, rounds.weight_unit)
        ELSE 1 END AS weight,
    votes.signature,
    to_timestamp(votes.voted_at) AS voted_at,
    NULL::bigint AS ballot_id
FROM (
    SELECT market_id, kind, round, weight_unit FROM voting.tallies
    UNION ALL
    SELECT DISTINCT market_id, kind, 0, NULL::bigint FROM market.chain_votes AS v
    WHERE NOT EXISTS (
        SELECT FROM voting.tallies AS t
        WHERE t.market_id = v.market_id AND t.kind = v.kind AND t.round = 0
    )
) AS rounds
JOIN market.chain_votes AS votes
    ON votes.market_id = rounds.market_id AND votes.kind = rounds.kind
LEFT JOIN LATERAL voting.holding(votes.market_id, votes.wallet) AS held
    ON votes.kind = 'dispute'
WHERE votes.kind = 'proposal' OR held.shares > 0
UNION ALL
SELECT
    ballots.market_id,
    ballots.kind,
    ballots.round,
    ballots.wallet,
    ballots.source,
    ballots.choice,
    ballots.weight,
    ballots.signature,
    ballots.accepted_at AS voted_at,
    ballots.id AS ballot_id
FROM voting.ballots AS ballots
WHERE NOT EXISTS (
    SELECT FROM market.chain_votes AS votes
    WHERE votes.market_id = ballots.market_id
        AND votes.kind = ballots.kind
        AND votes.wallet = ballots.wallet
);
GRANT SELECT ON voting.effective_ballots
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;

-- One transaction may store the ballots of many wallets, each of which has signed its own:
-- the setting app.voters names them all, in hex, separated by commas.
CREATE FUNCTION community.is_voter(wallet BYTEA) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT strpos(current_setting('app.voters', true), encode(wallet, 'hex')) > 0
$$;

CREATE POLICY insert_voters ON voting.ballots FOR INSERT TO zmart_api
    WITH CHECK (community.is_voter(wallet));
CREATE POLICY insert_voters ON community.users FOR INSERT TO zmart_api
    WITH CHECK (community.is_voter(wallet));
CREATE POLICY update_voters ON community.users FOR UPDATE TO zmart_api
    USING (community.is_voter(wallet));

-- Votes with news that the aggregator has not settled yet. Rows are only added, so that no
-- writer waits for another; the aggregator takes away the very rows that it saw.
CREATE TABLE voting.changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_changes_kind CHECK (kind IN ('proposal', 'dispute')),
    CONSTRAINT pk_changes PRIMARY KEY (id)
);
-- By which rules all open votes of a kind were last looked at; other rules: look at all.
CREATE TABLE voting.looks (
    kind TEXT NOT NULL CONSTRAINT ck_looks_kind CHECK (kind IN ('proposal', 'dispute')),
    threshold_bps INTEGER NOT NULL,
    minimum BIGINT NOT NULL,
    CONSTRAINT pk_looks PRIMARY KEY (kind)
);
GRANT SELECT ON voting.changes, voting.looks
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT ON voting.changes TO zmart_api, zmart_ingest, zmart_pipelines;
GRANT DELETE ON voting.changes TO zmart_pipelines;
GRANT INSERT, UPDATE ON voting.looks TO zmart_pipelines;
INSERT INTO voting.changes (market_id, kind)
    SELECT market_id, kind FROM voting.tallies WHERE status <> 'reopened';

CREATE FUNCTION voting.note_chain_votes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO voting.changes (market_id, kind) SELECT DISTINCT market_id, kind FROM changed;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_insert AFTER INSERT ON market.chain_votes
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION voting.note_chain_votes();
CREATE TRIGGER note_delete AFTER DELETE ON market.chain_votes
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION voting.note_chain_votes();
CREATE TRIGGER note_update AFTER UPDATE ON market.chain_votes
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION voting.note_chain_votes();

-- What a look for markets past their window asks.
CREATE INDEX ix_markets_resolving ON market.markets (resolution_proposed_at) WHERE state = 3;
CREATE INDEX ix_markets_disputed ON market.markets (dispute_initiated_at) WHERE state = 4;

-- A market that is proposed (again) is looked at, also after its record was refolded.
CREATE FUNCTION voting.note_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO voting.changes (market_id, kind) VALUES (NEW.market_id, 'proposal');
    RETURN NULL;
END
$$;
CREATE TRIGGER note_new_proposal AFTER INSERT ON market.markets
    FOR EACH ROW WHEN (NEW.state = 0) EXECUTE FUNCTION voting.note_proposal();
CREATE TRIGGER note_proposal_again AFTER UPDATE OF state ON market.markets
    FOR EACH ROW WHEN (NEW.state = 0 AND OLD.state <> 0) EXECUTE FUNCTION voting.note_proposal();

RESET ROLE;
