-- Who may do what. Every role reads everything; each writes only what its work needs; only the
-- owner changes the schema; no role deletes from the ledger.
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
GRANT INSERT, UPDATE ON chain.hints TO zmart_ingest;
GRANT INSERT, UPDATE, DELETE ON chain.coverage, chain.gaps, chain.cursors TO zmart_ingest;
GRANT INSERT, UPDATE, DELETE
    ON market.config_history, market.markets, market.positions, market.trades, market.claims,
        market.chain_votes, market.withdrawals
    TO zmart_ingest;
GRANT UPDATE (matched_at) ON community.market_drafts TO zmart_ingest;
GRANT INSERT, UPDATE ON ops.differences TO zmart_ingest;
GRANT INSERT ON ops.reconciliations, ops.repairs TO zmart_ingest;

-- api: what users submit, under row-level security, and the frames that announce it.
GRANT INSERT ON community.users, community.market_drafts, community.discussions TO zmart_api;
GRANT UPDATE (last_seen_at) ON community.users TO zmart_api;
GRANT UPDATE (deleted_at) ON community.discussions TO zmart_api;
GRANT INSERT ON voting.ballots, voting.tallies TO zmart_api;
GRANT UPDATE (votes_for, votes_against, ballots, counted_at) ON voting.tallies TO zmart_api;

-- pipelines: tallies, statistics, submissions, housekeeping.
GRANT INSERT, UPDATE ON voting.tallies, voting.scans TO zmart_pipelines;
GRANT INSERT, DELETE ON voting.counted_ballots TO zmart_pipelines;
GRANT DELETE ON voting.change_queue TO zmart_pipelines;
GRANT INSERT, UPDATE, DELETE
    ON market.candles, market.market_statistics, market.wallet_statistics TO zmart_pipelines;
GRANT INSERT, UPDATE, DELETE
    ON ops.intents, ops.attempts, ops.leases, ops.stream, ops.differences, ops.alerts,
        ops.heartbeats, ops.switches, ops.breakers, ops.run_claims
    TO zmart_pipelines;
GRANT DELETE ON ops.reconciliations, ops.repairs TO zmart_pipelines;
GRANT INSERT, UPDATE ON chain.cursors TO zmart_pipelines;
GRANT DELETE ON community.market_drafts TO zmart_pipelines;
GRANT DELETE ON chain.deliveries, chain.hints, chain.gaps TO zmart_pipelines;

-- All writers announce their work and record their health.
GRANT INSERT ON ops.stream TO zmart_ingest, zmart_api;
GRANT INSERT, UPDATE ON ops.heartbeats, ops.alerts TO zmart_ingest, zmart_api;
GRANT INSERT ON voting.change_queue TO zmart_api, zmart_ingest, zmart_pipelines;

-- Rows that belong to a wallet. The identity is the transaction's setting app.wallet, in hex;
-- unset or empty it is no wallet.
CREATE FUNCTION community.current_wallet() RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT decode(NULLIF(current_setting('app.wallet', true), ''), 'hex')
$$;

-- One transaction may store the ballots of many wallets, each of which has signed its own:
-- the setting app.voters names them all, in hex, separated by commas.
CREATE FUNCTION community.is_voter(wallet BYTEA) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT strpos(current_setting('app.voters', true), encode(wallet, 'hex')) > 0
$$;

ALTER TABLE community.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE community.market_drafts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE community.discussions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE voting.ballots ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Users, discussions and ballots are public; a draft is visible to its creator until matched.
CREATE POLICY read_all ON community.users FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON community.users FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY update_own ON community.users FOR UPDATE TO zmart_api
    USING (wallet = community.current_wallet());
CREATE POLICY insert_voters ON community.users FOR INSERT TO zmart_api
    WITH CHECK (community.is_voter(wallet));
CREATE POLICY update_voters ON community.users FOR UPDATE TO zmart_api
    USING (community.is_voter(wallet));

CREATE POLICY read_all ON community.discussions FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON community.discussions FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY update_own ON community.discussions FOR UPDATE TO zmart_api
    USING (wallet = community.current_wallet());

CREATE POLICY read_all ON voting.ballots FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON voting.ballots FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY insert_voters ON voting.ballots FOR INSERT TO zmart_api
    WITH CHECK (community.is_voter(wallet));

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
