-- Snapshots of discussions: each file that is pinned, with its bytes until it is unpinned.
SET LOCAL ROLE zmart_owner;

CREATE TABLE community.ipfs_anchors (
    market_id BYTEA NOT NULL
        CONSTRAINT ck_ipfs_anchors_market_id CHECK (octet_length(market_id) = 32),
    day DATE NOT NULL,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    cid TEXT NOT NULL CONSTRAINT ck_ipfs_anchors_cid CHECK (char_length(cid) = 46),
    document BYTEA NOT NULL
        CONSTRAINT ck_ipfs_anchors_document CHECK (octet_length(document) <= 262144),
    comments INTEGER NOT NULL,
    period_start TIMESTAMPTZ,
    period_end TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    pinned_at TIMESTAMPTZ,
    CONSTRAINT pk_ipfs_anchors PRIMARY KEY (market_id, day, part),
    CONSTRAINT ck_ipfs_anchors_part CHECK (part BETWEEN 1 AND parts),
    CONSTRAINT ck_ipfs_anchors_period CHECK (period_start < period_end)
);
CREATE INDEX ix_ipfs_anchors_cid ON community.ipfs_anchors (cid);
CREATE INDEX ix_ipfs_anchors_unpinned ON community.ipfs_anchors (day) WHERE pinned_at IS NULL;
COMMENT ON COLUMN community.ipfs_anchors.market_id IS 'Pipelines: whose discussion it is';
COMMENT ON COLUMN community.ipfs_anchors.day IS 'Pipelines: UTC day at whose end it ends';
COMMENT ON COLUMN community.ipfs_anchors.part IS 'Computed: number of the file, from 1';
COMMENT ON COLUMN community.ipfs_anchors.parts IS 'Computed: how many files the snapshot has';
COMMENT ON COLUMN community.ipfs_anchors.cid IS 'Computed: CIDv0 of document';
COMMENT ON COLUMN community.ipfs_anchors.document IS 'Computed: canonical JSON that is pinned';
COMMENT ON COLUMN community.ipfs_anchors.comments IS 'Computed: comments in the file';
COMMENT ON COLUMN community.ipfs_anchors.period_start
    IS 'Computed: end of the snapshot before; null: the first';
COMMENT ON COLUMN community.ipfs_anchors.period_end IS 'Computed: end of the day';
COMMENT ON COLUMN community.ipfs_anchors.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN community.ipfs_anchors.pinned_at
    IS 'Database clock: when the pin store accepted it';

-- What was published stays as it was; that it is pinned is recorded once.
CREATE FUNCTION community.guard_anchor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.pinned_at IS NOT NULL
        OR (OLD.market_id, OLD.day, OLD.part, OLD.parts, OLD.cid, OLD.document, OLD.comments,
            OLD.period_start, OLD.period_end, OLD.created_at)
        IS DISTINCT FROM
        (NEW.market_id, NEW.day, NEW.part, NEW.parts, NEW.cid, NEW.document, NEW.comments,
            NEW.period_start, NEW.period_end, NEW.created_at)
    THEN
        RAISE EXCEPTION 'a snapshot is immutable'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON community.ipfs_anchors
    FOR EACH ROW EXECUTE FUNCTION community.guard_anchor();
CREATE TRIGGER reject_truncate BEFORE TRUNCATE ON community.ipfs_anchors
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

GRANT SELECT ON community.ipfs_anchors
    TO zmart_api, zmart_read, zmart_pipelines, zmart_ingest, zmart_backup;
GRANT INSERT, DELETE, UPDATE (pinned_at) ON community.ipfs_anchors TO zmart_pipelines;

RESET ROLE;
