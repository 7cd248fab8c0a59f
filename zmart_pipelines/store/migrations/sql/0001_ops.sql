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
COMMENT ON COLUMN ops.alerts.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.alerts.topic IS 'Monitor that raises it: kind of condition';
COMMENT ON COLUMN ops.alerts.market_id IS 'Monitor: market concerned, if any';
COMMENT ON COLUMN ops.alerts.subject
    IS 'Monitor: job, service, intent or other thing concerned, if any';
COMMENT ON COLUMN ops.alerts.severity IS 'Monitor';
COMMENT ON COLUMN ops.alerts.message IS 'Monitor: text for operators';
COMMENT ON COLUMN ops.alerts.detail IS 'Monitor: facts in JSON';
COMMENT ON COLUMN ops.alerts.raised_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.alerts.cleared_at IS 'Database clock: when the condition ended';
COMMENT ON COLUMN ops.alerts.posted_at IS 'Database clock: when the alert webhook accepted it';

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
COMMENT ON COLUMN ops.breakers.name IS 'Caller: endpoint or action guarded';
COMMENT ON COLUMN ops.breakers.state IS 'Breaker: closed, open or half_open';
COMMENT ON COLUMN ops.breakers.generation IS 'Breaker: incremented at each change of state';
COMMENT ON COLUMN ops.breakers.failures IS 'Breaker: consecutive failures while closed';
COMMENT ON COLUMN ops.breakers.subjects IS 'Breaker: what failed, e.g. market ids';
COMMENT ON COLUMN ops.breakers.level IS 'Breaker: failed probes in a row';
COMMENT ON COLUMN ops.breakers.opened_at IS 'Database clock: when it left the state closed';
COMMENT ON COLUMN ops.breakers.wait_until IS 'Breaker: when the next probe is allowed';
COMMENT ON COLUMN ops.breakers.last_error IS 'Caller: text of the last error';
COMMENT ON COLUMN ops.breakers.changed_at IS 'Database clock: last change';

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
COMMENT ON COLUMN ops.differences.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.differences.market_id IS 'Reconciliation: market that differs';
COMMENT ON COLUMN ops.differences."user"
    IS 'Reconciliation: owner of the position that differs; null for the market''s account';
COMMENT ON COLUMN ops.differences.field IS 'Reconciliation: account field that differs';
COMMENT ON COLUMN ops.differences.folded IS 'Ledger: value after folding the events';
COMMENT ON COLUMN ops.differences.chain IS 'Account: value of the field';
COMMENT ON COLUMN ops.differences.class IS 'Reconciliation: cause, which determines the remedy';
COMMENT ON COLUMN ops.differences.slot IS 'Account: slot of the snapshot compared';
COMMENT ON COLUMN ops.differences.occurrences
    IS 'Reconciliation: consecutive comparisons that found it';
COMMENT ON COLUMN ops.differences.first_seen_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.differences.last_seen_at IS 'Database clock: last comparison that found it';
COMMENT ON COLUMN ops.differences.cleared_at
    IS 'Database clock: first comparison that did not find it';

CREATE TABLE ops.heartbeats (
    service TEXT NOT NULL,
    last_success_at timestamptz,
    last_attempt_at timestamptz NOT NULL,
    last_error TEXT,
    last_error_at timestamptz,
    detail JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_heartbeats PRIMARY KEY (service)
);
COMMENT ON COLUMN ops.heartbeats.service IS 'Service that reports';
COMMENT ON COLUMN ops.heartbeats.last_success_at IS 'Database clock: last success';
COMMENT ON COLUMN ops.heartbeats.last_attempt_at IS 'Database clock: last attempt';
COMMENT ON COLUMN ops.heartbeats.last_error IS 'Service: text of the last error';
COMMENT ON COLUMN ops.heartbeats.last_error_at IS 'Database clock: last error';
COMMENT ON COLUMN ops.heartbeats.detail IS 'Service: facts of the last work, in JSON';

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
COMMENT ON COLUMN ops.intents.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.intents.market_id IS 'Planner: market to act on';
COMMENT ON COLUMN ops.intents.action IS 'Planner: instruction to send';
COMMENT ON COLUMN ops.intents.round IS 'Planner: round of the tally or resolution';
COMMENT ON COLUMN ops.intents.arguments IS 'Planner: arguments of the instruction';
COMMENT ON COLUMN ops.intents.bundle_cid IS 'Tally: CID of its ballot bundle';
COMMENT ON COLUMN ops.intents.status IS 'Submitter: state of the intent';
COMMENT ON COLUMN ops.intents.reason IS 'Submitter or operator: why it has this status';
COMMENT ON COLUMN ops.intents.failures IS 'Submitter: failed attempts in a row';
COMMENT ON COLUMN ops.intents.retry_at IS 'Submitter: when to try again';
COMMENT ON COLUMN ops.intents.epoch IS 'Lease: epoch of the last writer';
COMMENT ON COLUMN ops.intents.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.intents.updated_at IS 'Database clock: last change of the row';

CREATE TABLE ops.leases (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (name)
);
COMMENT ON COLUMN ops.leases.name IS 'Submitter: what the lease protects';
COMMENT ON COLUMN ops.leases.holder IS 'Submitter: process that holds it';
COMMENT ON COLUMN ops.leases.epoch IS 'Database: incremented at each change of holder';
COMMENT ON COLUMN ops.leases.expires_at IS 'Database clock plus the lease''s duration';

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
COMMENT ON COLUMN ops.reconciliations.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.reconciliations.reconciled_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.reconciliations.market_slot IS 'Account: slot of the market accounts';
COMMENT ON COLUMN ops.reconciliations.position_slot IS 'Account: slot of the position accounts';
COMMENT ON COLUMN ops.reconciliations.covered_slot IS 'Coverage: finalized cursor of the ledger';
COMMENT ON COLUMN ops.reconciliations.markets IS 'Reconciliation: markets compared';
COMMENT ON COLUMN ops.reconciliations.positions IS 'Reconciliation: positions compared';
COMMENT ON COLUMN ops.reconciliations.in_flight
    IS 'Reconciliation: fields that differ with class in_flight';
COMMENT ON COLUMN ops.reconciliations.lag IS 'Reconciliation: fields that differ with class lag';
COMMENT ON COLUMN ops.reconciliations.missing_event
    IS 'Reconciliation: fields that differ with class missing_event';
COMMENT ON COLUMN ops.reconciliations.decode_error
    IS 'Reconciliation: fields that differ with class decode_error';
COMMENT ON COLUMN ops.reconciliations.drift
    IS 'Reconciliation: fields that differ with class drift';

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
COMMENT ON COLUMN ops.repairs.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.repairs.market_id IS 'Reconciliation: market that differed';
COMMENT ON COLUMN ops.repairs.repaired_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.repairs.scope IS 'Repair: which listed transactions were read';
COMMENT ON COLUMN ops.repairs.listed IS 'Node: transactions listed for the market';
COMMENT ON COLUMN ops.repairs.read IS 'Repair: transactions read again';
COMMENT ON COLUMN ops.repairs.unread IS 'Repair: transactions that could not be read';
COMMENT ON COLUMN ops.repairs.contradicted
    IS 'Repair: finalized readings that differ from the ledger''s';
COMMENT ON COLUMN ops.repairs.new_transactions
    IS 'Ingest: transactions that were not in the ledger';
COMMENT ON COLUMN ops.repairs.new_events IS 'Ingest: events that were not in the ledger';
COMMENT ON COLUMN ops.repairs.refolded
    IS 'Repair: whether the stored projection differed from the fold';

CREATE TABLE ops.run_claims (
    run_id TEXT NOT NULL,
    claimed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_run_claims PRIMARY KEY (run_id)
);
COMMENT ON COLUMN ops.run_claims.run_id IS 'Dagster''s id of the run';
COMMENT ON COLUMN ops.run_claims.claimed_at
    IS 'Clock of Postgres when a code server claimed the run';

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
COMMENT ON COLUMN ops.stream.position IS 'Database: global sequence, dense in commit order';
COMMENT ON COLUMN ops.stream.channel IS 'Writer: market:<id in hex> or markets';
COMMENT ON COLUMN ops.stream.previous
    IS 'Database: position before it on the same channel; 0 for the first';
COMMENT ON COLUMN ops.stream.type IS 'Writer: type of the frame';
COMMENT ON COLUMN ops.stream.payload IS 'Writer: data of the frame';
COMMENT ON COLUMN ops.stream.created_at IS 'Database clock: when the row was inserted';

CREATE TABLE ops.switches (
    action TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    changed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_switches PRIMARY KEY (action)
);
COMMENT ON COLUMN ops.switches.action IS 'Operator: action switched, or all';
COMMENT ON COLUMN ops.switches.enabled IS 'Operator: whether the action may be sent';
COMMENT ON COLUMN ops.switches.reason IS 'Operator: why it is switched off';
COMMENT ON COLUMN ops.switches.changed_at IS 'Database clock: last change';

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
COMMENT ON COLUMN ops.attempts.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.attempts.intent_id IS 'Intent that the attempt serves';
COMMENT ON COLUMN ops.attempts.market_id IS 'Intent';
COMMENT ON COLUMN ops.attempts.signature IS 'Signer: signature of the transaction';
COMMENT ON COLUMN ops.attempts.transaction IS 'Signer: signed bytes';
COMMENT ON COLUMN ops.attempts.blockhash IS 'Chain: recent blockhash signed';
COMMENT ON COLUMN ops.attempts.last_valid_block_height
    IS 'Chain: block height after which the blockhash expires';
COMMENT ON COLUMN ops.attempts.status IS 'Submitter: state of the attempt';
COMMENT ON COLUMN ops.attempts.epoch IS 'Lease: epoch of the signer';
COMMENT ON COLUMN ops.attempts.sends IS 'Submitter: times sent';
COMMENT ON COLUMN ops.attempts.landed_slot IS 'Chain: slot that contains the transaction';
COMMENT ON COLUMN ops.attempts.fee IS 'Transaction: meta.fee, in lamports';
COMMENT ON COLUMN ops.attempts.compute_units IS 'Transaction: meta.computeUnitsConsumed';
COMMENT ON COLUMN ops.attempts.error IS 'Chain or submitter: why the attempt failed';
COMMENT ON COLUMN ops.attempts.run_id IS 'Dagster: run that signed it';
COMMENT ON COLUMN ops.attempts.signed_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.attempts.sent_at IS 'Database clock: when it was first sent';
COMMENT ON COLUMN ops.attempts.settled_at IS 'Database clock: when the status became final';
