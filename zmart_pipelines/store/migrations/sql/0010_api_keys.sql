-- Keys of services that call the API. Only the API's login for users' requests reads them, and it
-- may note their use and nothing else; the owner creates and revokes them.
SET LOCAL ROLE zmart_owner;

CREATE TABLE ops.api_keys (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    revoked_at TIMESTAMPTZ,
    last_used_on DATE,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT uq_api_keys_hash UNIQUE (hash),
    CONSTRAINT ck_api_keys_hash CHECK (octet_length(hash) = 32)
);
COMMENT ON COLUMN ops.api_keys.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.api_keys.name IS 'Operator: the service that has the key';
COMMENT ON COLUMN ops.api_keys.prefix IS 'Key: its first characters, to recognise it';
COMMENT ON COLUMN ops.api_keys.hash IS 'Key: its SHA-256';
COMMENT ON COLUMN ops.api_keys.scopes IS 'Operator: what the key permits';
COMMENT ON COLUMN ops.api_keys.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.api_keys.revoked_at
    IS 'Database clock: since when it is not accepted any more';
COMMENT ON COLUMN ops.api_keys.last_used_on
    IS 'API: the last day (UTC) with a request that used it';
CREATE UNIQUE INDEX uq_api_keys_name ON ops.api_keys (name) WHERE revoked_at IS NULL;

GRANT SELECT ON ops.api_keys TO zmart_api;
GRANT UPDATE (last_used_on) ON ops.api_keys TO zmart_api;

RESET ROLE;
