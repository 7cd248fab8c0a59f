-- Who may do what. Everyone reads; each writes only its own work; nobody but the owner
-- changes the schema; nobody at all deletes from the record.
GRANT USAGE ON SCHEMA chain, market, voting, community, ops
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT SELECT ON ALL TABLES IN SCHEMA chain, market, voting, community, ops
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;

-- ingest: the ledger, its projection, the frames that announce them.
GRANT INSERT ON chain.deliveries, chain.transactions, chain.events TO zmart_ingest;
GRANT UPDATE (status, error, attempts, ingested_at) ON chain.deliveries TO zmart_ingest;
GRANT UPDATE (commitment, sources, index_in_block, block_time, fee, finalized_at)
    ON chain.transactions TO zmart_ingest;
GRANT UPDATE (commitment, index_in_block, market_id, name, data, instruction, quarantine_reason)
    ON chain.events TO zmart_ingest;
GRANT INSERT, UPDATE, DELETE ON chain.coverage, chain.gaps, chain.cursors TO zmart_ingest;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA market TO zmart_ingest;
GRANT UPDATE (matched_at) ON community.market_drafts TO zmart_ingest;
GRANT INSERT, UPDATE ON ops.differences TO zmart_ingest;

-- api: what users give, under row-level security, and what announces it.
GRANT INSERT ON community.users, community.market_drafts, community.discussions TO zmart_api;
GRANT UPDATE (last_seen_at) ON community.users TO zmart_api;
GRANT UPDATE (deleted_at) ON community.discussions TO zmart_api;
GRANT INSERT ON voting.ballots TO zmart_api;
GRANT INSERT ON voting.tallies TO zmart_api;
GRANT UPDATE (votes_for, votes_against, counted_at) ON voting.tallies TO zmart_api;

-- pipelines: tallies, submissions, housekeeping.
GRANT INSERT, UPDATE ON voting.tallies TO zmart_pipelines;
GRANT INSERT, DELETE ON voting.counted_ballots TO zmart_pipelines;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ops TO zmart_pipelines;
GRANT INSERT, UPDATE ON chain.cursors TO zmart_pipelines;
GRANT DELETE ON community.market_drafts TO zmart_pipelines;

-- All that work announce what they did and how they fare.
GRANT INSERT ON ops.stream TO zmart_ingest, zmart_api;
GRANT INSERT, UPDATE ON ops.heartbeats, ops.alerts TO zmart_ingest, zmart_api;

-- Rows that belong to a wallet. The identity is the transaction's setting app.wallet, in
-- hex; unset or empty it is nobody.
CREATE FUNCTION community.current_wallet() RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT decode(NULLIF(current_setting('app.wallet', true), ''), 'hex')
$$;

ALTER TABLE community.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE community.market_drafts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE community.discussions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE voting.ballots ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Users, discussions and ballots are public to read; a draft is its creator's until matched.
CREATE POLICY read_all ON community.users FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON community.users FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY update_own ON community.users FOR UPDATE TO zmart_api
    USING (wallet = community.current_wallet());

CREATE POLICY read_all ON community.discussions FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON community.discussions FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY update_own ON community.discussions FOR UPDATE TO zmart_api
    USING (wallet = community.current_wallet());

CREATE POLICY read_all ON voting.ballots FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON voting.ballots FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());

CREATE POLICY read_matched_or_own ON community.market_drafts FOR SELECT TO zmart_api
    USING (matched_at IS NOT NULL OR creator = community.current_wallet());
CREATE POLICY insert_own ON community.market_drafts FOR INSERT TO zmart_api
    WITH CHECK (creator = community.current_wallet() AND matched_at IS NULL);

-- The other roles act for the system, not for a wallet; their grants above are the limit.
CREATE POLICY system ON community.users
    TO zmart_owner, zmart_ingest, zmart_pipelines, zmart_read USING (true);
CREATE POLICY system ON community.market_drafts
    TO zmart_owner, zmart_ingest, zmart_pipelines, zmart_read USING (true);
CREATE POLICY system ON community.discussions
    TO zmart_owner, zmart_ingest, zmart_pipelines, zmart_read USING (true);
CREATE POLICY system ON voting.ballots
    TO zmart_owner, zmart_ingest, zmart_pipelines, zmart_read USING (true);

RESET ROLE;
