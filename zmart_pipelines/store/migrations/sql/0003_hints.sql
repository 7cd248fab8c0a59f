-- Signatures that a delivery without logs named, to be read by RPC.
SET LOCAL ROLE zmart_owner;

CREATE TABLE chain.hints (
    signature BYTEA NOT NULL
        CONSTRAINT ck_hints_signature CHECK (octet_length(signature) = 64),
    slot BIGINT,
    delivery_id BIGINT NOT NULL,
    status TEXT DEFAULT 'waiting' NOT NULL
        CONSTRAINT ck_hints_status CHECK (status IN ('waiting', 'read', 'foreign', 'unknown')),
    reason TEXT,
    attempts INTEGER DEFAULT '0' NOT NULL,
    heard_at timestamptz DEFAULT now() NOT NULL,
    retry_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_hints PRIMARY KEY (signature),
    CONSTRAINT fk_hints_delivery_id_deliveries FOREIGN KEY(delivery_id)
        REFERENCES chain.deliveries (id),
    CONSTRAINT ck_hints_ended CHECK ((status = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX ix_hints_waiting ON chain.hints (retry_at) WHERE status = 'waiting';

GRANT SELECT ON chain.hints TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE ON chain.hints TO zmart_ingest;

RESET ROLE;
