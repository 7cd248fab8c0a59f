-- Signatures that have served a write, so that each serves one write once.
SET ROLE zmart_owner;

CREATE TABLE community.signed_requests (
    signature BYTEA NOT NULL
        CONSTRAINT ck_signed_requests_signature CHECK (octet_length(signature) = 64),
    wallet BYTEA NOT NULL
        CONSTRAINT ck_signed_requests_wallet CHECK (octet_length(wallet) = 32),
    address TEXT,
    action TEXT NOT NULL
        CONSTRAINT ck_signed_requests_action CHECK (
            action IN ('comment', 'delete-comment', 'draft', 'ballot')
        ),
    digest BYTEA NOT NULL
        CONSTRAINT ck_signed_requests_digest CHECK (octet_length(digest) = 32),
    accepted_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_signed_requests PRIMARY KEY (signature)
);
CREATE INDEX ix_signed_requests_wallet_action_accepted_at
    ON community.signed_requests (wallet, action, accepted_at);
CREATE INDEX ix_signed_requests_address_action_accepted_at
    ON community.signed_requests (address, action, accepted_at);
CREATE INDEX ix_signed_requests_accepted_at ON community.signed_requests (accepted_at);
COMMENT ON COLUMN community.signed_requests.signature
    IS 'Request: the wallet''s signature of message';
COMMENT ON COLUMN community.signed_requests.wallet
    IS 'Request: wallet whose signature was verified';
COMMENT ON COLUMN community.signed_requests.address
    IS 'Connection: client''s IP address (IPv6: its /64 network); null for ballots';
COMMENT ON COLUMN community.signed_requests.action IS 'API: what the request did';
COMMENT ON COLUMN community.signed_requests.digest
    IS 'Computed: SHA-256 of action, subject, body and Idempotency-Key';
COMMENT ON COLUMN community.signed_requests.accepted_at
    IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN community.discussions.signature
    IS 'Request: the wallet''s signature of the comment';

-- The signatures of older clients' ballots are served by now.
INSERT INTO community.signed_requests (signature, wallet, action, digest, accepted_at)
SELECT signature, wallet, 'ballot',
    sha256(market_id || convert_to(kind || choice::text, 'UTF8')), accepted_at
FROM voting.ballots WHERE scheme <> 'zmart-1';

GRANT SELECT ON community.signed_requests
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT ON community.signed_requests TO zmart_api;
GRANT DELETE ON community.signed_requests TO zmart_pipelines;

ALTER TABLE community.signed_requests ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- Everyone's rows are read, since an address has many wallets.
CREATE POLICY read_all ON community.signed_requests FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON community.signed_requests FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY insert_voters ON community.signed_requests FOR INSERT TO zmart_api
    WITH CHECK (community.is_voter(wallet));
CREATE POLICY system ON community.signed_requests
    TO zmart_owner, zmart_ingest, zmart_pipelines, zmart_read USING (true);

RESET ROLE;
