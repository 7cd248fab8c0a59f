-- The login of public reads sees public rows only: of drafts those whose market is on chain, of
-- signatures that have served a write nothing but the signature. A query that forgets to ask for
-- matched drafts then still shows no other.
SET LOCAL ROLE zmart_owner;

-- Roles that act for the system. Each statement of theirs still needs its grant.
DROP POLICY system ON community.market_drafts;
CREATE POLICY system ON community.market_drafts
    TO zmart_owner, zmart_ingest, zmart_pipelines USING (true);
CREATE POLICY read_matched ON community.market_drafts FOR SELECT TO zmart_read
    USING (matched_at IS NOT NULL);

DROP POLICY system ON community.signed_requests;
CREATE POLICY system ON community.signed_requests TO zmart_owner, zmart_pipelines USING (true);
ALTER POLICY read_all ON community.signed_requests TO zmart_api, zmart_read;
REVOKE SELECT ON community.signed_requests FROM zmart_ingest, zmart_read;
GRANT SELECT (signature) ON community.signed_requests TO zmart_read;

-- Public rows: readers and the ingest only read them.
DROP POLICY system ON community.users;
CREATE POLICY system ON community.users TO zmart_owner USING (true);
CREATE POLICY read_public ON community.users FOR SELECT
    TO zmart_ingest, zmart_pipelines, zmart_read USING (true);
DROP POLICY system ON community.discussions;
CREATE POLICY system ON community.discussions TO zmart_owner USING (true);
CREATE POLICY read_public ON community.discussions FOR SELECT
    TO zmart_ingest, zmart_pipelines, zmart_read USING (true);
DROP POLICY system ON voting.ballots;
CREATE POLICY system ON voting.ballots TO zmart_owner USING (true);
CREATE POLICY read_public ON voting.ballots FOR SELECT
    TO zmart_ingest, zmart_pipelines, zmart_read USING (true);

RESET ROLE;
