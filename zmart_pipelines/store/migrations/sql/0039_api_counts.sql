-- What the monitor reads: counts of the API's processes, and pins that failed.
SET LOCAL ROLE zmart_owner;

CREATE TABLE ops.api_counts (
    minute TIMESTAMPTZ NOT NULL,
    process TEXT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    rate_limit_refusals BIGINT NOT NULL,
    failed_pins BIGINT NOT NULL,
    clients BIGINT NOT NULL,
    CONSTRAINT pk_api_counts PRIMARY KEY (minute, process),
    CONSTRAINT ck_api_counts_minute CHECK (
        extract(second FROM minute AT TIME ZONE 'UTC') = 0
    ),
    CONSTRAINT ck_api_counts_counts CHECK (
        least(requests, errors, rate_limit_refusals, failed_pins, clients) >= 0
        AND errors <= requests
    )
);
COMMENT ON COLUMN ops.api_counts.minute IS 'Database clock: the minute in which it was counted';
COMMENT ON COLUMN ops.api_counts.process IS 'API: name of the process';
COMMENT ON COLUMN ops.api_counts.requests IS 'API: requests answered in the minute';
COMMENT ON COLUMN ops.api_counts.errors IS 'API: those of them answered with a status of 500 to 599';
COMMENT ON COLUMN ops.api_counts.rate_limit_refusals
    IS 'API: requests that a rate limit refused in the minute';
COMMENT ON COLUMN ops.api_counts.failed_pins IS 'API: files that the pin store refused in the minute';
COMMENT ON COLUMN ops.api_counts.clients
    IS 'API: connections for live updates that were open when the row was last written';
GRANT SELECT ON ops.api_counts TO zmart_api, zmart_ingest, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE ON ops.api_counts TO zmart_api;
GRANT DELETE ON ops.api_counts TO zmart_pipelines;

ALTER TABLE community.ipfs_anchors
    ADD COLUMN failed_pins INTEGER DEFAULT '0' NOT NULL,
    ADD COLUMN pin_error TEXT;
COMMENT ON COLUMN community.ipfs_anchors.failed_pins
    IS 'Pipelines: how often pinning it has failed';
COMMENT ON COLUMN community.ipfs_anchors.pin_error IS 'Pipelines: why it last failed';
GRANT UPDATE (failed_pins, pin_error) ON community.ipfs_anchors TO zmart_pipelines;

CREATE INDEX ix_markets_finalized ON market.markets (updated_at) WHERE state = 5;

RESET ROLE;
