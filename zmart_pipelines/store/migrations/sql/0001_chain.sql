-- The ledger as read from Solana, and the proof that it is complete.

CREATE TYPE chain.commitment AS ENUM ('orphaned', 'reported', 'confirmed', 'finalized');

CREATE TABLE chain.coverage (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    slots INT8RANGE NOT NULL,
    covered_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_coverage PRIMARY KEY (id),
    CONSTRAINT no_overlap EXCLUDE USING gist (slots WITH &&)
);

CREATE TABLE chain.cursors (
    name TEXT NOT NULL,
    slot BIGINT DEFAULT '0' NOT NULL,
    xid BIGINT DEFAULT '0' NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_cursors PRIMARY KEY (name)
);

CREATE TABLE chain.deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    source TEXT NOT NULL,
    body BYTEA NOT NULL,
    body_sha256 BYTEA NOT NULL,
    transaction_count INTEGER NOT NULL,
    status TEXT DEFAULT 'received' NOT NULL CONSTRAINT ck_deliveries_status CHECK (status IN ('received', 'ingested', 'failed')),
    error TEXT,
    attempts INTEGER DEFAULT '0' NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    ingested_at timestamptz,
    CONSTRAINT pk_deliveries PRIMARY KEY (id)
);
CREATE INDEX ix_deliveries_id ON chain.deliveries (id) WHERE status <> 'ingested';

CREATE TABLE chain.gaps (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    signature BYTEA NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_gaps_kind CHECK (kind IN ('unread', 'incomplete', 'misfit')),
    slot BIGINT,
    reason TEXT NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    opened_at timestamptz DEFAULT now() NOT NULL,
    retry_at timestamptz DEFAULT now() NOT NULL,
    closed_at timestamptz,
    CONSTRAINT pk_gaps PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_gaps_open ON chain.gaps (signature, kind) WHERE closed_at IS NULL;

CREATE TABLE chain.transactions (
    signature BYTEA NOT NULL CONSTRAINT ck_transactions_signature CHECK (octet_length(signature) = 64),
    digest BYTEA NOT NULL CONSTRAINT ck_transactions_digest CHECK (octet_length(digest) = 16),
    slot BIGINT NOT NULL,
    index_in_block INTEGER,
    block_time BIGINT,
    failed BOOLEAN NOT NULL,
    error JSONB,
    fee BIGINT,
    logs BYTEA NOT NULL,
    logs_truncated BOOLEAN NOT NULL,
    instructions JSONB NOT NULL,
    commitment chain.commitment NOT NULL,
    sources SMALLINT NOT NULL,
    delivery_id BIGINT,
    seen_at timestamptz DEFAULT now() NOT NULL,
    finalized_at timestamptz,
    xid BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    CONSTRAINT pk_transactions PRIMARY KEY (signature, digest),
    CONSTRAINT fk_transactions_delivery_id_deliveries FOREIGN KEY(delivery_id)
        REFERENCES chain.deliveries (id)
);
CREATE INDEX ix_transactions_slot_index_in_block ON chain.transactions (slot, index_in_block);
CREATE INDEX ix_transactions_unfinal
    ON chain.transactions (slot) WHERE commitment IN ('reported', 'confirmed');
CREATE INDEX ix_transactions_xid ON chain.transactions (xid);
CREATE UNIQUE INDEX uq_transactions_live
    ON chain.transactions (signature) WHERE commitment <> 'orphaned';

CREATE TABLE chain.events (
    signature BYTEA NOT NULL,
    log_index INTEGER NOT NULL,
    digest BYTEA NOT NULL,
    slot BIGINT NOT NULL,
    index_in_block INTEGER,
    name TEXT,
    market_id BYTEA,
    raw BYTEA NOT NULL,
    data JSONB,
    instruction BYTEA,
    quarantine_reason TEXT,
    commitment chain.commitment NOT NULL,
    seen_at timestamptz DEFAULT now() NOT NULL,
    xid BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (signature, log_index, digest),
    CONSTRAINT fk_events_signature_digest_transactions FOREIGN KEY(signature, digest)
        REFERENCES chain.transactions (signature, digest),
    CONSTRAINT ck_events_decoded CHECK ((data IS NULL) = (quarantine_reason IS NOT NULL)),
    CONSTRAINT ck_events_market_id CHECK (market_id IS NULL OR octet_length(market_id) = 32)
);
CREATE INDEX ix_events_market_id_slot_index_in_block_log_index
    ON chain.events (market_id, slot, index_in_block, log_index);
CREATE INDEX ix_events_quarantined ON chain.events (seen_at) WHERE quarantine_reason IS NOT NULL;
CREATE INDEX ix_events_slot ON chain.events (slot);
CREATE INDEX ix_events_unfinal
    ON chain.events (market_id, commitment) WHERE commitment IN ('reported', 'confirmed');
CREATE INDEX ix_events_unresolved
    ON chain.events ((data ->> 'market')) WHERE market_id IS NULL AND name = 'WinningsClaimed';
CREATE INDEX ix_events_xid ON chain.events (xid);
CREATE UNIQUE INDEX uq_events_live
    ON chain.events (signature, log_index) WHERE commitment <> 'orphaned';
