-- The ledger as read from Solana, and the proof that it is complete.

CREATE TYPE chain.commitment AS ENUM ('orphaned', 'reported', 'confirmed', 'finalized');

CREATE TABLE chain.coverage (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    slots INT8RANGE NOT NULL,
    covered_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_coverage PRIMARY KEY (id),
    CONSTRAINT no_overlap EXCLUDE USING gist (slots WITH &&)
);
COMMENT ON COLUMN chain.coverage.id IS 'Database: identity sequence';
COMMENT ON COLUMN chain.coverage.slots IS 'Readers: windows closed at finalized, merged';
COMMENT ON COLUMN chain.coverage.covered_at IS 'Database clock: when the row was inserted';

CREATE TABLE chain.cursors (
    name TEXT NOT NULL,
    slot BIGINT DEFAULT '0' NOT NULL,
    xid BIGINT DEFAULT '0' NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_cursors PRIMARY KEY (name)
);
COMMENT ON COLUMN chain.cursors.name IS 'Reader or observer that owns the cursor';
COMMENT ON COLUMN chain.cursors.slot IS 'Reader: last slot read';
COMMENT ON COLUMN chain.cursors.xid IS 'Observer: first transaction id not yet observed';
COMMENT ON COLUMN chain.cursors.updated_at IS 'Database clock: when the cursor moved';

CREATE TABLE chain.deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    source TEXT NOT NULL,
    body BYTEA NOT NULL,
    body_sha256 BYTEA NOT NULL,
    transaction_count INTEGER NOT NULL,
    status TEXT DEFAULT 'received' NOT NULL
        CONSTRAINT ck_deliveries_status CHECK (status IN ('received', 'ingested', 'failed')),
    error TEXT,
    attempts INTEGER DEFAULT '0' NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    ingested_at timestamptz,
    CONSTRAINT pk_deliveries PRIMARY KEY (id)
);
CREATE INDEX ix_deliveries_id ON chain.deliveries (id) WHERE status <> 'ingested';
COMMENT ON COLUMN chain.deliveries.id IS 'Database: identity sequence';
COMMENT ON COLUMN chain.deliveries.source IS 'API: route that received the request';
COMMENT ON COLUMN chain.deliveries.body IS 'Webhook request: body as received';
COMMENT ON COLUMN chain.deliveries.body_sha256 IS 'Computed: SHA-256 of body';
COMMENT ON COLUMN chain.deliveries.transaction_count IS 'Computed: transactions in body';
COMMENT ON COLUMN chain.deliveries.status IS 'Delivery intake: state of its ingestion';
COMMENT ON COLUMN chain.deliveries.error IS 'Delivery intake: why the last attempt failed';
COMMENT ON COLUMN chain.deliveries.attempts IS 'Delivery intake: failed attempts';
COMMENT ON COLUMN chain.deliveries.received_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN chain.deliveries.ingested_at
    IS 'Database clock: when its transactions were ingested';

CREATE TABLE chain.gaps (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    signature BYTEA NOT NULL,
    kind TEXT NOT NULL
        CONSTRAINT ck_gaps_kind CHECK (kind IN ('unread', 'incomplete', 'inapplicable')),
    slot BIGINT,
    reason TEXT NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    opened_at timestamptz DEFAULT now() NOT NULL,
    retry_at timestamptz DEFAULT now() NOT NULL,
    closed_at timestamptz,
    CONSTRAINT pk_gaps PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_gaps_open ON chain.gaps (signature, kind) WHERE closed_at IS NULL;
COMMENT ON COLUMN chain.gaps.id IS 'Database: identity sequence';
COMMENT ON COLUMN chain.gaps.signature IS 'Listing or transaction';
COMMENT ON COLUMN chain.gaps.kind IS 'Reader, decoder or fold that found the gap';
COMMENT ON COLUMN chain.gaps.slot IS 'Listing or transaction';
COMMENT ON COLUMN chain.gaps.reason IS 'Reader, decoder or fold: what is missing';
COMMENT ON COLUMN chain.gaps.attempts IS 'Reader: attempts to close the gap';
COMMENT ON COLUMN chain.gaps.opened_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN chain.gaps.retry_at IS 'Reader: when to retry';
COMMENT ON COLUMN chain.gaps.closed_at IS 'Database clock: when the gap was closed';

CREATE TABLE chain.hints (
    signature BYTEA NOT NULL CONSTRAINT ck_hints_signature CHECK (octet_length(signature) = 64),
    slot BIGINT,
    delivery_id BIGINT NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL
        CONSTRAINT ck_hints_status CHECK (status IN ('pending', 'read', 'foreign', 'unknown')),
    reason TEXT,
    attempts INTEGER DEFAULT '0' NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    retry_at timestamptz DEFAULT now() NOT NULL,
    settled_at timestamptz,
    CONSTRAINT pk_hints PRIMARY KEY (signature),
    CONSTRAINT ck_hints_settled CHECK ((status = 'pending') = (settled_at IS NULL)),
    CONSTRAINT fk_hints_delivery_id_deliveries FOREIGN KEY(delivery_id)
        REFERENCES chain.deliveries (id)
);
CREATE INDEX ix_hints_pending ON chain.hints (retry_at) WHERE status = 'pending';
COMMENT ON COLUMN chain.hints.signature IS 'Webhook request: a delivery without logs';
COMMENT ON COLUMN chain.hints.slot IS 'Webhook request: a delivery without logs';
COMMENT ON COLUMN chain.hints.delivery_id IS 'Webhook request that named the signature';
COMMENT ON COLUMN chain.hints.status IS 'Hint reader: result of reading the signature';
COMMENT ON COLUMN chain.hints.reason IS 'Hint reader: why the last attempt failed';
COMMENT ON COLUMN chain.hints.attempts IS 'Hint reader: attempts so far';
COMMENT ON COLUMN chain.hints.received_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN chain.hints.retry_at IS 'Hint reader: when to retry';
COMMENT ON COLUMN chain.hints.settled_at IS 'Database clock: when the status became final';

CREATE TABLE chain.transactions (
    signature BYTEA NOT NULL
        CONSTRAINT ck_transactions_signature CHECK (octet_length(signature) = 64),
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
    first_seen_at timestamptz DEFAULT now() NOT NULL,
    finalized_at timestamptz,
    xid BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    CONSTRAINT pk_transactions PRIMARY KEY (signature, digest)
);
CREATE INDEX ix_transactions_slot_index_in_block ON chain.transactions (slot, index_in_block);
CREATE INDEX ix_transactions_unfinalized
    ON chain.transactions (slot) WHERE commitment IN ('reported', 'confirmed');
CREATE INDEX ix_transactions_xid ON chain.transactions (xid);
CREATE UNIQUE INDEX uq_transactions_live
    ON chain.transactions (signature) WHERE commitment <> 'orphaned';
COMMENT ON COLUMN chain.transactions.signature IS 'Transaction';
COMMENT ON COLUMN chain.transactions.digest
    IS 'Computed: digest of slot, outcome, logs and instructions';
COMMENT ON COLUMN chain.transactions.slot IS 'Transaction';
COMMENT ON COLUMN chain.transactions.index_in_block
    IS 'Block listing or webhook, if it reports the index';
COMMENT ON COLUMN chain.transactions.block_time IS 'Transaction';
COMMENT ON COLUMN chain.transactions.failed IS 'Transaction: meta.err';
COMMENT ON COLUMN chain.transactions.error IS 'Transaction: meta.err';
COMMENT ON COLUMN chain.transactions.fee IS 'Transaction: meta.fee';
COMMENT ON COLUMN chain.transactions.logs IS 'Transaction: meta.logMessages';
COMMENT ON COLUMN chain.transactions.logs_truncated
    IS 'Computed: whether the logs end with Log truncated';
COMMENT ON COLUMN chain.transactions.instructions
    IS 'Transaction: the program''s instructions, outer and inner';
COMMENT ON COLUMN chain.transactions.commitment
    IS 'Highest commitment of its readings; orphaned if no fork contains it';
COMMENT ON COLUMN chain.transactions.sources IS 'Ingest: bits of the sources that reported it';
COMMENT ON COLUMN chain.transactions.delivery_id IS 'Webhook request that reported it first';
COMMENT ON COLUMN chain.transactions.first_seen_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN chain.transactions.finalized_at
    IS 'Database clock: when it was promoted to finalized';
COMMENT ON COLUMN chain.transactions.xid IS 'Database: id of the inserting transaction';

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
    first_seen_at timestamptz DEFAULT now() NOT NULL,
    xid BIGINT DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (signature, log_index, digest),
    CONSTRAINT fk_events_signature_digest_transactions FOREIGN KEY(signature, digest)
        REFERENCES chain.transactions (signature, digest),
    CONSTRAINT ck_events_decoded CHECK ((data IS NULL) = (quarantine_reason IS NOT NULL)),
    CONSTRAINT ck_events_market_id CHECK (market_id IS NULL OR octet_length(market_id) = 32)
);
CREATE INDEX ix_events_disputes ON chain.events (market_id, slot) WHERE name = 'DisputeInitiated';
CREATE INDEX ix_events_market_id_slot_index_in_block_log_index
    ON chain.events (market_id, slot, index_in_block, log_index);
CREATE INDEX ix_events_quarantined
    ON chain.events (first_seen_at) WHERE quarantine_reason IS NOT NULL;
CREATE INDEX ix_events_slot ON chain.events (slot);
CREATE INDEX ix_events_unfinalized
    ON chain.events (market_id, commitment) WHERE commitment IN ('reported', 'confirmed');
CREATE INDEX ix_events_unresolved
    ON chain.events ((data ->> 'market')) WHERE market_id IS NULL AND name = 'WinningsClaimed';
CREATE INDEX ix_events_xid ON chain.events (xid);
CREATE UNIQUE INDEX uq_events_live
    ON chain.events (signature, log_index) WHERE commitment <> 'orphaned';
COMMENT ON COLUMN chain.events.signature IS 'Transaction';
COMMENT ON COLUMN chain.events.log_index IS 'Transaction: line number in its log';
COMMENT ON COLUMN chain.events.digest IS 'Transaction: digest of its reading';
COMMENT ON COLUMN chain.events.slot IS 'Transaction';
COMMENT ON COLUMN chain.events.index_in_block IS 'Transaction';
COMMENT ON COLUMN chain.events.name IS 'Computed: event name of the discriminator in raw';
COMMENT ON COLUMN chain.events.market_id
    IS 'Event; for WinningsClaimed the market at the event''s address';
COMMENT ON COLUMN chain.events.raw IS 'Transaction: payload of the log line, from base64';
COMMENT ON COLUMN chain.events.data IS 'Computed: raw, decoded';
COMMENT ON COLUMN chain.events.instruction
    IS 'Transaction: data of the instruction that emitted the event';
COMMENT ON COLUMN chain.events.quarantine_reason IS 'Decoder: why raw could not be decoded';
COMMENT ON COLUMN chain.events.commitment IS 'Transaction: its commitment';
COMMENT ON COLUMN chain.events.first_seen_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN chain.events.xid IS 'Database: id of the inserting transaction';
