-- How wallets sign in, and their sessions. Only the API's login for users' requests writes them,
-- as the wallet that a row belongs to; the pipelines delete what has expired.
SET LOCAL ROLE zmart_owner;

CREATE SCHEMA accounts;

CREATE TABLE accounts.nonces (
    nonce TEXT NOT NULL
        CONSTRAINT ck_nonces_nonce CHECK (nonce ~ '^[0-9a-f]{32}$'),
    wallet BYTEA NOT NULL
        CONSTRAINT ck_nonces_wallet CHECK (octet_length(wallet) = 32),
    origin TEXT NOT NULL
        CONSTRAINT ck_nonces_origin CHECK (char_length(origin) <= 300),
    issued_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_nonces PRIMARY KEY (nonce)
);
CREATE INDEX ix_nonces_expires_at ON accounts.nonces (expires_at);
COMMENT ON COLUMN accounts.nonces.nonce IS 'API: 128 random bits in hex';
COMMENT ON COLUMN accounts.nonces.wallet IS 'Request: the wallet that asks; nothing proves it yet';
COMMENT ON COLUMN accounts.nonces.origin IS 'API: origin of the page that the text names';
COMMENT ON COLUMN accounts.nonces.issued_at IS 'Clock of the API: as the text says';
COMMENT ON COLUMN accounts.nonces.expires_at IS 'Clock of the API: as the text says';

CREATE TABLE accounts.sessions (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    wallet BYTEA NOT NULL
        CONSTRAINT ck_sessions_wallet CHECK (octet_length(wallet) = 32),
    csrf TEXT NOT NULL,
    user_agent TEXT
        CONSTRAINT ck_sessions_user_agent CHECK (char_length(user_agent) <= 200),
    address TEXT,
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    last_used_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    end_reason TEXT
        CONSTRAINT ck_sessions_end_reason CHECK (end_reason IN ('logout', 'ended', 'reuse')),
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT uq_sessions_id_wallet UNIQUE (id, wallet),
    CONSTRAINT ck_sessions_ended CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX ix_sessions_wallet_created_at ON accounts.sessions (wallet, created_at);
CREATE INDEX ix_sessions_ended_at ON accounts.sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX ix_sessions_expires_at ON accounts.sessions (expires_at);
COMMENT ON COLUMN accounts.sessions.id IS 'Database: random UUID';
COMMENT ON COLUMN accounts.sessions.wallet IS 'Sign-in: wallet whose signature was verified';
COMMENT ON COLUMN accounts.sessions.csrf
    IS 'API: random; what requests with cookies repeat in a header';
COMMENT ON COLUMN accounts.sessions.user_agent
    IS 'Request: how the client called itself at the sign-in';
COMMENT ON COLUMN accounts.sessions.address
    IS 'Connection: client''s IP address (IPv6: its /64 network) at the sign-in';
COMMENT ON COLUMN accounts.sessions.created_at IS 'Database clock: the sign-in';
COMMENT ON COLUMN accounts.sessions.last_used_at
    IS 'Database clock: the sign-in or the last refresh';
COMMENT ON COLUMN accounts.sessions.expires_at IS 'Computed: created_at plus SESSION_DAYS';
COMMENT ON COLUMN accounts.sessions.ended_at
    IS 'Database clock: when it was ended before it expired';
COMMENT ON COLUMN accounts.sessions.end_reason
    IS 'API: logout; ended from another session; a used refresh token was used again';

CREATE TABLE accounts.refresh_tokens (
    hash BYTEA NOT NULL
        CONSTRAINT ck_refresh_tokens_hash CHECK (octet_length(hash) = 32),
    session UUID NOT NULL,
    wallet BYTEA NOT NULL
        CONSTRAINT ck_refresh_tokens_wallet CHECK (octet_length(wallet) = 32),
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ,
    successor BYTEA,
    CONSTRAINT pk_refresh_tokens PRIMARY KEY (hash),
    CONSTRAINT fk_refresh_tokens_session_wallet_sessions FOREIGN KEY (session, wallet)
        REFERENCES accounts.sessions (id, wallet) ON DELETE CASCADE,
    CONSTRAINT ck_refresh_tokens_used CHECK ((used_at IS NULL) = (successor IS NULL))
);
-- A session never has two tokens that are good for use.
CREATE UNIQUE INDEX uq_refresh_tokens_session_unused
    ON accounts.refresh_tokens (session) WHERE used_at IS NULL;
CREATE INDEX ix_refresh_tokens_session ON accounts.refresh_tokens (session);
CREATE INDEX ix_refresh_tokens_expires_at ON accounts.refresh_tokens (expires_at);
COMMENT ON COLUMN accounts.refresh_tokens.hash IS 'Token: its SHA-256';
COMMENT ON COLUMN accounts.refresh_tokens.session IS 'Session that it continues';
COMMENT ON COLUMN accounts.refresh_tokens.wallet IS 'Session: its wallet';
COMMENT ON COLUMN accounts.refresh_tokens.created_at
    IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN accounts.refresh_tokens.expires_at
    IS 'Computed: created_at plus REFRESH_TOKEN_DAYS, at most the session''s expires_at';
COMMENT ON COLUMN accounts.refresh_tokens.used_at IS 'Database clock: when it was exchanged';
COMMENT ON COLUMN accounts.refresh_tokens.successor
    IS 'Token: hash of the one it was exchanged for';

CREATE TABLE accounts.session_writes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    session UUID NOT NULL,
    wallet BYTEA NOT NULL
        CONSTRAINT ck_session_writes_wallet CHECK (octet_length(wallet) = 32),
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    accepted_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    CONSTRAINT pk_session_writes PRIMARY KEY (id)
);
CREATE INDEX ix_session_writes_wallet_action_accepted_at
    ON accounts.session_writes (wallet, action, accepted_at);
CREATE INDEX ix_session_writes_address_action_accepted_at
    ON accounts.session_writes (address, action, accepted_at);
CREATE INDEX ix_session_writes_accepted_at ON accounts.session_writes (accepted_at);
COMMENT ON COLUMN accounts.session_writes.id IS 'Database: identity sequence';
COMMENT ON COLUMN accounts.session_writes.session IS 'Request: session of its token';
COMMENT ON COLUMN accounts.session_writes.wallet IS 'Session: its wallet';
COMMENT ON COLUMN accounts.session_writes.address
    IS 'Connection: client''s IP address (IPv6: its /64 network)';
COMMENT ON COLUMN accounts.session_writes.action IS 'API: what the request did';
COMMENT ON COLUMN accounts.session_writes.accepted_at
    IS 'Database clock: when the row was inserted';

-- The ids of sessions that were ended lately, whoever's they are: every API process refuses their
-- access tokens. It runs as the owner and gives nothing but the ids.
CREATE FUNCTION accounts.sessions_ended_since(since TIMESTAMPTZ) RETURNS SETOF UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT id FROM accounts.sessions WHERE ended_at >= since
$$;
REVOKE ALL ON FUNCTION accounts.sessions_ended_since FROM PUBLIC;

GRANT USAGE ON SCHEMA accounts TO zmart_api, zmart_pipelines, zmart_backup;
GRANT EXECUTE ON FUNCTION accounts.sessions_ended_since TO zmart_api;
GRANT SELECT, INSERT, DELETE ON accounts.nonces TO zmart_api;
GRANT SELECT, INSERT ON accounts.sessions, accounts.refresh_tokens, accounts.session_writes
    TO zmart_api;
GRANT UPDATE (last_used_at, ended_at, end_reason) ON accounts.sessions TO zmart_api;
GRANT UPDATE (used_at, successor) ON accounts.refresh_tokens TO zmart_api;
GRANT SELECT, DELETE
    ON accounts.nonces, accounts.sessions, accounts.refresh_tokens, accounts.session_writes
    TO zmart_pipelines;
GRANT SELECT ON ALL TABLES IN SCHEMA accounts TO zmart_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA accounts TO zmart_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA accounts GRANT SELECT ON TABLES TO zmart_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA accounts GRANT SELECT ON SEQUENCES TO zmart_backup;

ALTER TABLE accounts.nonces ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE accounts.sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE accounts.refresh_tokens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE accounts.session_writes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON accounts.nonces TO zmart_api
    USING (wallet = community.current_wallet());
CREATE POLICY own ON accounts.sessions TO zmart_api
    USING (wallet = community.current_wallet());
CREATE POLICY own ON accounts.refresh_tokens TO zmart_api
    USING (wallet = community.current_wallet());
-- Everyone's rows are read, since an address has many wallets.
CREATE POLICY read_all ON accounts.session_writes FOR SELECT TO zmart_api USING (true);
CREATE POLICY insert_own ON accounts.session_writes FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());

CREATE POLICY system ON accounts.nonces TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY system ON accounts.sessions TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY system ON accounts.refresh_tokens TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY system ON accounts.session_writes TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY backup ON accounts.nonces FOR SELECT TO zmart_backup USING (true);
CREATE POLICY backup ON accounts.sessions FOR SELECT TO zmart_backup USING (true);
CREATE POLICY backup ON accounts.refresh_tokens FOR SELECT TO zmart_backup USING (true);
CREATE POLICY backup ON accounts.session_writes FOR SELECT TO zmart_backup USING (true);

RESET ROLE;
