-- How large the database and its tables were, so that their growth can be shown.
SET LOCAL ROLE zmart_owner;

CREATE TABLE ops.table_sizes (
    name TEXT NOT NULL,
    measured_at TIMESTAMPTZ NOT NULL,
    bytes BIGINT NOT NULL,
    CONSTRAINT pk_table_sizes PRIMARY KEY (name, measured_at),
    CONSTRAINT ck_table_sizes_bytes CHECK (bytes >= 0)
);
COMMENT ON COLUMN ops.table_sizes.name
    IS 'Postgres: schema and table; `database` for all of it';
COMMENT ON COLUMN ops.table_sizes.measured_at IS 'Database clock: when it was measured';
COMMENT ON COLUMN ops.table_sizes.bytes IS 'Postgres: size on disk with indexes';
GRANT SELECT ON ops.table_sizes TO zmart_api, zmart_ingest, zmart_pipelines, zmart_read;
GRANT INSERT, DELETE ON ops.table_sizes TO zmart_pipelines;

RESET ROLE;
