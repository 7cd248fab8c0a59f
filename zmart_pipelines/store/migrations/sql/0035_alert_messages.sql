-- Alerts are acknowledged, silenced and escalated; messages about them go through an outbox.
SET LOCAL ROLE zmart_owner;

ALTER TABLE ops.alerts
    ADD COLUMN reported_severity TEXT CONSTRAINT ck_alerts_reported_severity CHECK (
        reported_severity IN ('critical', 'high', 'medium')
    ),
    ADD COLUMN acknowledged_at TIMESTAMPTZ,
    ADD COLUMN acknowledged_by TEXT,
    ADD COLUMN posted_severity TEXT CONSTRAINT ck_alerts_posted_severity CHECK (
        posted_severity IN ('critical', 'high', 'medium')
    ),
    ADD COLUMN closure_posted_at TIMESTAMPTZ,
    ADD CONSTRAINT ck_alerts_acknowledged CHECK (
        (acknowledged_at IS NULL) = (acknowledged_by IS NULL)
    );
-- What was posted before this migration is not announced again.
UPDATE ops.alerts SET posted_severity = severity, closure_posted_at = cleared_at
    WHERE posted_at IS NOT NULL;
ALTER TABLE ops.alerts ADD CONSTRAINT ck_alerts_posted CHECK (
    (posted_at IS NULL) = (posted_severity IS NULL)
    AND (closure_posted_at IS NULL OR posted_at IS NOT NULL AND cleared_at IS NOT NULL)
);
DROP INDEX ops.ix_alerts_unposted;
CREATE INDEX ix_alerts_unposted ON ops.alerts (id) WHERE
    cleared_at IS NULL AND posted_severity IS DISTINCT FROM severity
    OR cleared_at IS NOT NULL AND posted_at IS NOT NULL AND closure_posted_at IS NULL;
COMMENT ON COLUMN ops.alerts.posted_at
    IS 'Database clock: when a message about it was last written to the outbox';
COMMENT ON COLUMN ops.alerts.reported_severity
    IS 'Monitor: severity of the condition itself; null: the same as severity';
COMMENT ON COLUMN ops.alerts.acknowledged_at IS 'Database clock: when an operator took it over';
COMMENT ON COLUMN ops.alerts.acknowledged_by IS 'API or command: who acknowledged it';
COMMENT ON COLUMN ops.alerts.posted_severity IS 'Monitor: severity in the last message about it';
COMMENT ON COLUMN ops.alerts.closure_posted_at
    IS 'Database clock: when the message that it has ended was written to the outbox';

CREATE TABLE ops.alert_silences (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    topic TEXT NOT NULL,
    market_id BYTEA CONSTRAINT ck_alert_silences_market_id CHECK (octet_length(market_id) = 32),
    subject TEXT,
    reason TEXT NOT NULL CONSTRAINT ck_alert_silences_reason CHECK (
        char_length(reason) BETWEEN 1 AND 500
    ),
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_alert_silences PRIMARY KEY (id)
);
CREATE INDEX ix_alert_silences_ends_at ON ops.alert_silences (ends_at);
COMMENT ON COLUMN ops.alert_silences.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.alert_silences.topic IS 'Operator: topic of the alerts that are not sent';
COMMENT ON COLUMN ops.alert_silences.market_id
    IS 'Operator: only those of this market; null for all';
COMMENT ON COLUMN ops.alert_silences.subject
    IS 'Operator: only those with this subject; null for all';
COMMENT ON COLUMN ops.alert_silences.reason IS 'Operator: why';
COMMENT ON COLUMN ops.alert_silences.created_by IS 'API or command: who silenced them';
COMMENT ON COLUMN ops.alert_silences.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.alert_silences.ends_at
    IS 'Operator: until when; the moment of the end where it was ended early';

-- The outbox. A message is claimed before it is sent, and recorded as sent afterwards.
CREATE TABLE ops.alert_messages (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    channel TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    alert_ids BIGINT[] NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    next_attempt_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    claimed_until TIMESTAMPTZ,
    sent_at TIMESTAMPTZ,
    abandoned_at TIMESTAMPTZ,
    last_error TEXT,
    CONSTRAINT pk_alert_messages PRIMARY KEY (id),
    CONSTRAINT ck_alert_messages_end CHECK (num_nonnulls(sent_at, abandoned_at) <= 1)
);
CREATE INDEX ix_alert_messages_unsent ON ops.alert_messages (next_attempt_at)
    WHERE sent_at IS NULL AND abandoned_at IS NULL;
CREATE INDEX ix_alert_messages_created_at ON ops.alert_messages (created_at);
COMMENT ON COLUMN ops.alert_messages.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.alert_messages.channel IS 'Sender: where it is sent to; holds no address';
COMMENT ON COLUMN ops.alert_messages.title IS 'Sender: first line';
COMMENT ON COLUMN ops.alert_messages.body IS 'Sender: the alerts, for people';
COMMENT ON COLUMN ops.alert_messages.alert_ids IS 'Sender: rows of ops.alerts that it reports';
COMMENT ON COLUMN ops.alert_messages.created_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.alert_messages.attempts IS 'Sender: how often sending was begun';
COMMENT ON COLUMN ops.alert_messages.next_attempt_at IS 'Sender: when to send it next';
COMMENT ON COLUMN ops.alert_messages.claimed_until
    IS 'Sender: while one process sends it; in the past: that process ended meanwhile';
COMMENT ON COLUMN ops.alert_messages.sent_at IS 'Database clock: when the receiver accepted it';
COMMENT ON COLUMN ops.alert_messages.abandoned_at
    IS 'Database clock: when it was given up as too old';
COMMENT ON COLUMN ops.alert_messages.last_error
    IS 'Sender: why the last attempt failed, without any address';

-- The code that the program was seen to have. The first one is accepted; each later one by an
-- operator who acknowledges its alert.
CREATE TABLE ops.program_code (
    program BYTEA NOT NULL CONSTRAINT ck_program_code_program CHECK (octet_length(program) = 32),
    code_hash BYTEA NOT NULL
        CONSTRAINT ck_program_code_code_hash CHECK (octet_length(code_hash) = 32),
    deployed_slot BIGINT NOT NULL,
    first_seen_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    accepted_at TIMESTAMPTZ,
    CONSTRAINT pk_program_code PRIMARY KEY (program, code_hash)
);
COMMENT ON COLUMN ops.program_code.program IS 'Settings: address of the program';
COMMENT ON COLUMN ops.program_code.code_hash IS 'Monitor: SHA-256 of the code on chain';
COMMENT ON COLUMN ops.program_code.deployed_slot IS 'Chain: slot of its deployment';
COMMENT ON COLUMN ops.program_code.first_seen_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.program_code.accepted_at
    IS 'Database clock: when it was accepted; null: its alert is open';
GRANT SELECT ON ops.program_code TO zmart_api, zmart_ingest, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE ON ops.program_code TO zmart_pipelines;

GRANT SELECT ON ops.alert_silences, ops.alert_messages
    TO zmart_api, zmart_ingest, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE ON ops.alert_silences, ops.alert_messages TO zmart_api, zmart_pipelines;
GRANT DELETE ON ops.alert_silences, ops.alert_messages TO zmart_pipelines;

RESET ROLE;
