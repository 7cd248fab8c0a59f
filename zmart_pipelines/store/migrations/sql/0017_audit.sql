-- What operators did, by whom and through which entry point. Written in the transaction of the
-- act itself; append-only for every role, the owner included.
SET LOCAL ROLE zmart_owner;

-- Whether this transaction acts for an operator: the setting app.operator, which the API sets
-- after it has checked the caller. Beside app.wallet, since a service's key has no wallet.
CREATE FUNCTION ops.is_operator() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(current_setting('app.operator', true), '') = 'on'
$$;

CREATE TABLE ops.audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    recorded_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    entry_point TEXT NOT NULL
        CONSTRAINT ck_audit_entry_point CHECK (entry_point IN ('api', 'cli', 'dagster')),
    wallet BYTEA CONSTRAINT ck_audit_wallet CHECK (octet_length(wallet) = 32),
    service TEXT,
    key_id BIGINT,
    os_user TEXT,
    dagster_user TEXT,
    action TEXT NOT NULL CONSTRAINT ck_audit_action CHECK (action ~ '^[a-z]+(_[a-z]+)*$'),
    subject TEXT,
    reason TEXT DEFAULT '' NOT NULL,
    details JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (id),
    CONSTRAINT ck_audit_actor CHECK (
        num_nonnulls(wallet, service, os_user, dagster_user) = 1
        AND (key_id IS NULL OR service IS NOT NULL)
    )
);
CREATE INDEX ix_audit_action_id ON ops.audit (action, id);
CREATE INDEX ix_audit_subject_id ON ops.audit (subject, id);
COMMENT ON COLUMN ops.audit.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.audit.recorded_at IS 'Database clock: when the transaction began';
COMMENT ON COLUMN ops.audit.entry_point
    IS 'Entry point: whether the API, the command line or Dagster was used';
COMMENT ON COLUMN ops.audit.wallet IS 'API: the operator''s wallet, if a wallet signed in';
COMMENT ON COLUMN ops.audit.service IS 'API: name of the service whose key was sent, if one was';
COMMENT ON COLUMN ops.audit.key_id
    IS 'API: the key''s row in ops.api_keys; null for the key of the settings';
COMMENT ON COLUMN ops.audit.os_user
    IS 'Command line: the operating system''s user who ran the command';
COMMENT ON COLUMN ops.audit.dagster_user
    IS 'Dagster: who launched the run, as far as Dagster knows it';
COMMENT ON COLUMN ops.audit.action IS 'Entry point: what was done';
COMMENT ON COLUMN ops.audit.subject IS 'Entry point: what it was done to';
COMMENT ON COLUMN ops.audit.reason IS 'Operator: why; empty where no reason was given';
COMMENT ON COLUMN ops.audit.details IS 'Entry point: further facts in JSON';

CREATE TRIGGER reject_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.audit
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

GRANT SELECT, INSERT ON ops.audit TO zmart_api, zmart_pipelines, zmart_ingest;

ALTER TABLE ops.audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY read_as_operator ON ops.audit FOR SELECT TO zmart_api USING (ops.is_operator());
-- The API records what it does for an operator, under no other wallet than the caller's.
CREATE POLICY insert_as_operator ON ops.audit FOR INSERT TO zmart_api
    WITH CHECK (
        ops.is_operator() AND entry_point = 'api'
        AND wallet IS NOT DISTINCT FROM community.current_wallet()
    );
CREATE POLICY read_all ON ops.audit FOR SELECT
    TO zmart_owner, zmart_pipelines, zmart_ingest USING (true);
CREATE POLICY insert_own ON ops.audit FOR INSERT
    TO zmart_owner, zmart_pipelines, zmart_ingest WITH CHECK (entry_point <> 'api');
CREATE POLICY backup ON ops.audit FOR SELECT TO zmart_backup USING (true);

RESET ROLE;
