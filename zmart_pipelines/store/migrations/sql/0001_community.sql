-- Users, market drafts, discussions.

CREATE TABLE community.market_drafts (
    market_id BYTEA NOT NULL,
    creator BYTEA NOT NULL,
    nonce BYTEA NOT NULL,
    question_hash TEXT NOT NULL,
    document BYTEA NOT NULL,
    question TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    category TEXT NOT NULL
        CONSTRAINT ck_market_drafts_category CHECK (
            category IN ('politics', 'sports', 'crypto', 'science', 'entertainment', 'other')
        ),
    tags TEXT[] DEFAULT '{}' NOT NULL,
    ends_at timestamptz NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    matched_at timestamptz,
    CONSTRAINT pk_market_drafts PRIMARY KEY (market_id),
    CONSTRAINT uq_market_drafts_creator_nonce UNIQUE (creator, nonce),
    CONSTRAINT ck_market_drafts_market_id CHECK (octet_length(market_id) = 32),
    CONSTRAINT ck_market_drafts_question CHECK (char_length(question) BETWEEN 10 AND 200),
    CONSTRAINT ck_market_drafts_description CHECK (char_length(description) <= 2000)
);
CREATE INDEX ix_market_drafts_ends
    ON community.market_drafts (ends_at) WHERE matched_at IS NOT NULL;
CREATE INDEX ix_market_drafts_expires_at
    ON community.market_drafts (expires_at) WHERE matched_at IS NULL;
COMMENT ON COLUMN community.market_drafts.market_id IS 'Computed: hash of creator, CID and nonce';
COMMENT ON COLUMN community.market_drafts.creator IS 'Request: wallet whose signature was verified';
COMMENT ON COLUMN community.market_drafts.nonce IS 'API: random bytes';
COMMENT ON COLUMN community.market_drafts.question_hash IS 'Computed: CIDv0 of document';
COMMENT ON COLUMN community.market_drafts.document IS 'Computed: canonical JSON of the draft';
COMMENT ON COLUMN community.market_drafts.question IS 'Request';
COMMENT ON COLUMN community.market_drafts.description IS 'Request';
COMMENT ON COLUMN community.market_drafts.category IS 'Request';
COMMENT ON COLUMN community.market_drafts.tags IS 'Request';
COMMENT ON COLUMN community.market_drafts.ends_at IS 'Request: when the question is decided';
COMMENT ON COLUMN community.market_drafts.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN community.market_drafts.expires_at
    IS 'Computed: created_at plus the draft lifetime';
COMMENT ON COLUMN community.market_drafts.matched_at
    IS 'Database clock: when the MarketCreated of the draft was ingested';

CREATE TABLE community.users (
    wallet BYTEA NOT NULL CONSTRAINT ck_users_wallet CHECK (octet_length(wallet) = 32),
    created_at timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (wallet)
);
COMMENT ON COLUMN community.users.wallet IS 'Request: wallet whose signature was verified';
COMMENT ON COLUMN community.users.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN community.users.last_seen_at IS 'Database clock: the wallet''s last write';

CREATE TABLE community.discussions (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    market_id BYTEA NOT NULL,
    wallet BYTEA NOT NULL,
    content TEXT NOT NULL,
    signature BYTEA,
    created_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT pk_discussions PRIMARY KEY (id),
    CONSTRAINT ck_discussions_content CHECK (char_length(content) BETWEEN 1 AND 1000),
    CONSTRAINT uq_discussions_signature UNIQUE (signature),
    CONSTRAINT fk_discussions_wallet_users FOREIGN KEY(wallet) REFERENCES community.users (wallet)
);
CREATE INDEX ix_discussions_market_id_created_at_id
    ON community.discussions (market_id, created_at, id);
COMMENT ON COLUMN community.discussions.id IS 'Database: random UUID';
COMMENT ON COLUMN community.discussions.market_id IS 'Request: market commented on';
COMMENT ON COLUMN community.discussions.wallet IS 'Request: wallet whose signature was verified';
COMMENT ON COLUMN community.discussions.content IS 'Request: text of the comment';
COMMENT ON COLUMN community.discussions.signature
    IS 'Not written yet: signature of the comment itself';
COMMENT ON COLUMN community.discussions.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN community.discussions.deleted_at
    IS 'Clock of the API: when the author deleted the comment';
