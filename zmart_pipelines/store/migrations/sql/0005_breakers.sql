-- Breakers of endpoints and actions. The pipelines and the operator's command write them.
SET LOCAL ROLE zmart_owner;

CREATE TABLE ops.breakers (
    name TEXT NOT NULL,
    state TEXT DEFAULT 'closed' NOT NULL
        CONSTRAINT ck_breakers_state CHECK (state IN ('closed', 'open', 'half_open')),
    generation BIGINT DEFAULT '0' NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    subjects TEXT[] DEFAULT '{}' NOT NULL,
    level INTEGER DEFAULT '0' NOT NULL,
    opened_at timestamptz,
    wait_until timestamptz,
    last_error TEXT,
    changed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_breakers PRIMARY KEY (name),
    CONSTRAINT ck_breakers_times CHECK (
        (state = 'closed') = (opened_at IS NULL) AND (state = 'closed') = (wait_until IS NULL)
    )
);

GRANT SELECT ON ops.breakers TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE, DELETE ON ops.breakers TO zmart_pipelines;

RESET ROLE;
