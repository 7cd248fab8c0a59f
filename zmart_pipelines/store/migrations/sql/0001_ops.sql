-- Submissions, the live stream, alerts, heartbeats, switches, breakers, reconciliation.

CREATE TABLE ops.alerts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    topic TEXT NOT NULL,
    market_id BYTEA,
    subject TEXT,
    severity TEXT NOT NULL
        CONSTRAINT ck_alerts_severity CHECK (severity IN ('critical', 'high', 'medium')),
    message TEXT NOT NULL,
    detail JSONB DEFAULT '{}' NOT NULL,
    raised_at timestamptz DEFAULT now() NOT NULL,
    cleared_at timestamptz,
    posted_at timestamptz,
    CONSTRAINT pk_alerts PRIMARY KEY (id),
    CONSTRAINT ck_alerts_market_id CHECK (octet_length(market_id) = 32)
);
CREATE INDEX ix_alerts_unposted
    ON ops.alerts (id)
    WHERE posted_at IS NULL AND cleared_at IS NULL AND severity IN ('critical', 'high');
CREATE UNIQUE INDEX uq_alerts_open
    ON ops.alerts (topic, market_id, subject) NULLS NOT DISTINCT WHERE cleared_at IS NULL;

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

CREATE TABLE ops.differences (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    "user" BYTEA,
    field TEXT NOT NULL,
    folded TEXT,
    chain TEXT,
    class TEXT NOT NULL
        CONSTRAINT ck_differences_class CHECK (
            class IN ('in_flight', 'lag', 'missing_event', 'decode_error', 'drift')
        ),
    slot BIGINT NOT NULL,
    occurrences INTEGER DEFAULT '1' NOT NULL,
    first_seen_at timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz DEFAULT now() NOT NULL,
    cleared_at timestamptz,
    CONSTRAINT pk_differences PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_differences_open
    ON ops.differences (market_id, "user", field) NULLS NOT DISTINCT WHERE cleared_at IS NULL;

CREATE TABLE ops.heartbeats (
    service TEXT NOT NULL,
    last_success_at timestamptz,
    last_attempt_at timestamptz NOT NULL,
    last_error TEXT,
    last_error_at timestamptz,
    detail JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_heartbeats PRIMARY KEY (service)
);

CREATE TABLE ops.run_claims (
    run_id TEXT NOT NULL,
    claimed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_run_claims PRIMARY KEY (run_id)
);
COMMENT ON COLUMN ops.run_claims.run_id IS 'Dagster''s id of the run';
COMMENT ON COLUMN ops.run_claims.claimed_at
    IS 'Clock of Postgres when a code server claimed the run';

CREATE TABLE ops.intents (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    action TEXT NOT NULL
        CONSTRAINT ck_intents_action CHECK (
            action IN ('aggregate_proposal_votes', 'approve_proposal', 'activate_market',
            'resolve_market', 'finalize_market')
        ),
    round BIGINT DEFAULT '0' NOT NULL,
    arguments JSONB NOT NULL,
    bundle_cid TEXT,
    status TEXT DEFAULT 'planned' NOT NULL
        CONSTRAINT ck_intents_status CHECK (
            status IN ('planned', 'live', 'final', 'superseded', 'failed', 'quarantined')
        ),
    reason TEXT,
    failures INTEGER DEFAULT '0' NOT NULL,
    retry_at timestamptz DEFAULT now() NOT NULL,
    epoch BIGINT DEFAULT '0' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_intents PRIMARY KEY (id),
    CONSTRAINT uq_intents_market_id_action_round UNIQUE (market_id, action, round)
);
CREATE INDEX ix_intents_open ON ops.intents (id) WHERE status IN ('planned', 'live');

CREATE TABLE ops.leases (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (name)
);

CREATE TABLE ops.reconciliations (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    reconciled_at timestamptz DEFAULT now() NOT NULL,
    market_slot BIGINT NOT NULL,
    position_slot BIGINT NOT NULL,
    covered_slot BIGINT,
    markets INTEGER NOT NULL,
    positions INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    lag INTEGER NOT NULL,
    missing_event INTEGER NOT NULL,
    decode_error INTEGER NOT NULL,
    drift INTEGER NOT NULL,
    CONSTRAINT pk_reconciliations PRIMARY KEY (id)
);
CREATE INDEX ix_reconciliations_reconciled_at ON ops.reconciliations (reconciled_at);

CREATE TABLE ops.repairs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    market_id BYTEA NOT NULL,
    repaired_at timestamptz DEFAULT now() NOT NULL,
    scope TEXT NOT NULL CONSTRAINT ck_repairs_scope CHECK (scope IN ('missing', 'everything')),
    listed INTEGER NOT NULL,
    read INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    contradicted INTEGER NOT NULL,
    new_transactions INTEGER NOT NULL,
    new_events INTEGER NOT NULL,
    refolded BOOLEAN NOT NULL,
    CONSTRAINT pk_repairs PRIMARY KEY (id),
    CONSTRAINT ck_repairs_market_id CHECK (octet_length(market_id) = 32)
);
CREATE INDEX ix_repairs_market_id_repaired_at ON ops.repairs (market_id, repaired_at);

CREATE TABLE ops.stream (
    position BIGINT NOT NULL,
    channel TEXT NOT NULL,
    previous BIGINT NOT NULL,
    type TEXT NOT NULL,
    payload JSONB NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_stream PRIMARY KEY (position)
);
CREATE INDEX ix_stream_channel_position ON ops.stream (channel, position);

CREATE TABLE ops.switches (
    action TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    changed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_switches PRIMARY KEY (action)
);

CREATE TABLE ops.attempts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    intent_id BIGINT NOT NULL,
    market_id BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    transaction BYTEA NOT NULL,
    blockhash TEXT NOT NULL,
    last_valid_block_height BIGINT NOT NULL,
    status TEXT DEFAULT 'signed' NOT NULL
        CONSTRAINT ck_attempts_status CHECK (
            status IN ('signed', 'sent', 'landed', 'final', 'dead')
        ),
    epoch BIGINT NOT NULL,
    sends INTEGER DEFAULT '0' NOT NULL,
    landed_slot BIGINT,
    fee BIGINT,
    compute_units BIGINT,
    error TEXT,
    run_id TEXT,
    signed_at timestamptz DEFAULT now() NOT NULL,
    sent_at timestamptz,
    settled_at timestamptz,
    CONSTRAINT pk_attempts PRIMARY KEY (id),
    CONSTRAINT ck_attempts_signature CHECK (octet_length(signature) = 64),
    CONSTRAINT fk_attempts_intent_id_intents FOREIGN KEY(intent_id) REFERENCES ops.intents (id),
    CONSTRAINT uq_attempts_signature UNIQUE (signature)
);
CREATE UNIQUE INDEX uq_attempts_live
    ON ops.attempts (market_id) WHERE status IN ('signed', 'sent', 'landed');
