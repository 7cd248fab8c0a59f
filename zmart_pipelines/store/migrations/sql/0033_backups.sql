-- The backups that were taken, and those that failed.
SET LOCAL ROLE zmart_owner;

CREATE TABLE ops.backups (
    name TEXT CONSTRAINT pk_backups PRIMARY KEY,
    target TEXT NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    verified_at TIMESTAMPTZ,
    bytes BIGINT,
    rows BIGINT,
    sha256 TEXT,
    lsn TEXT,
    error TEXT,
    deleted_at TIMESTAMPTZ,
    CONSTRAINT ck_backups_outcome CHECK (verified_at IS NULL OR error IS NULL)
);
CREATE INDEX ix_backups_verified ON ops.backups (verified_at) WHERE verified_at IS NOT NULL;
COMMENT ON COLUMN ops.backups.name IS 'Computed: from the time when it was begun';
COMMENT ON COLUMN ops.backups.target IS 'Settings: where it is kept, without secrets';
COMMENT ON COLUMN ops.backups.taken_at IS 'Process clock: when it was begun';
COMMENT ON COLUMN ops.backups.finished_at IS 'Process clock: when it was verified';
COMMENT ON COLUMN ops.backups.verified_at IS 'Process clock: when it was found good; null: never';
COMMENT ON COLUMN ops.backups.bytes IS 'Counted: size of its files; null: not complete';
COMMENT ON COLUMN ops.backups.rows IS 'Counted: rows of all tables; null: not complete';
COMMENT ON COLUMN ops.backups.sha256
    IS 'Computed: of its manifest, which has the hash of every table';
COMMENT ON COLUMN ops.backups.lsn IS 'Postgres: position of the log at which the dump began';
COMMENT ON COLUMN ops.backups.error IS 'Process: why it failed; null: it did not';
COMMENT ON COLUMN ops.backups.deleted_at
    IS 'Process clock: when it was deleted after its retention';

GRANT SELECT ON ops.backups TO zmart_api, zmart_read, zmart_pipelines, zmart_ingest, zmart_backup;
GRANT INSERT, UPDATE ON ops.backups TO zmart_pipelines;

RESET ROLE;
