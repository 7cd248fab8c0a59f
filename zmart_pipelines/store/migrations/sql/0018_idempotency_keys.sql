-- What writes were answered, so that the same request again is answered the same.
SET LOCAL ROLE zmart_owner;

CREATE TABLE community.idempotency_keys (
    wallet BYTEA NOT NULL
        CONSTRAINT ck_idempotency_keys_wallet CHECK (octet_length(wallet) = 32),
    key TEXT NOT NULL
        CONSTRAINT ck_idempotency_keys_key CHECK (char_length(key) BETWEEN 1 AND 100),
    digest BYTEA NOT NULL
        CONSTRAINT ck_idempotency_keys_digest CHECK (octet_length(digest) = 32),
    answer BYTEA NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (wallet, key)
);
CREATE INDEX ix_idempotency_keys_created_at ON community.idempotency_keys (created_at);
COMMENT ON COLUMN community.idempotency_keys.wallet
    IS 'Request: wallet that the write was permitted to';
COMMENT ON COLUMN community.idempotency_keys.key
    IS 'Request: its Idempotency-Key or its signature';
COMMENT ON COLUMN community.idempotency_keys.digest
    IS 'Computed: SHA-256 of action, subject, body and Idempotency-Key';
COMMENT ON COLUMN community.idempotency_keys.answer IS 'API: JSON of what the write returned';
COMMENT ON COLUMN community.idempotency_keys.created_at
    IS 'Database clock: when the row was inserted';

CREATE TRIGGER reject_change BEFORE UPDATE OR TRUNCATE ON community.idempotency_keys
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

GRANT SELECT, INSERT ON community.idempotency_keys TO zmart_api;
GRANT SELECT, DELETE ON community.idempotency_keys TO zmart_pipelines;

-- An answer may hold what only its wallet sees.
ALTER TABLE community.idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY read_own ON community.idempotency_keys FOR SELECT TO zmart_api
    USING (wallet = community.current_wallet());
CREATE POLICY insert_own ON community.idempotency_keys FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY system ON community.idempotency_keys TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY backup ON community.idempotency_keys FOR SELECT TO zmart_backup USING (true);

RESET ROLE;
