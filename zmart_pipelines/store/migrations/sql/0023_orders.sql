-- What operators order through the API. The API writes the order and nothing else; the pipelines
-- carry it out.
SET LOCAL ROLE zmart_owner;

CREATE TABLE ops.orders (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL CONSTRAINT ck_orders_kind CHECK (
        kind IN ('resolve_market', 'backfill', 'breaker_reset', 'switch', 'redeliver', 'redecode',
            'retry_submission', 'close_submission', 'reopen_vote')
    ),
    parameters JSONB NOT NULL,
    reason TEXT NOT NULL CONSTRAINT ck_orders_reason CHECK (
        char_length(reason) BETWEEN 1 AND 500 AND reason = btrim(reason)
    ),
    idempotency_key TEXT NOT NULL,
    wallet BYTEA CONSTRAINT ck_orders_wallet CHECK (octet_length(wallet) = 32),
    service TEXT,
    key_id BIGINT,
    status TEXT DEFAULT 'requested' NOT NULL CONSTRAINT ck_orders_status CHECK (
        status IN ('requested', 'accepted', 'done', 'failed')
    ),
    result TEXT,
    run_id TEXT,
    attempts INTEGER DEFAULT '0' NOT NULL,
    requested_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    accepted_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT uq_orders_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT ck_orders_requester CHECK (
        num_nonnulls(wallet, service) = 1 AND (key_id IS NULL OR service IS NOT NULL)
    ),
    CONSTRAINT ck_orders_ended CHECK (
        (status IN ('done', 'failed')) = (ended_at IS NOT NULL)
        AND (ended_at IS NULL) = (result IS NULL)
        AND (status = 'requested') = (accepted_at IS NULL)
    )
);
CREATE INDEX ix_orders_open ON ops.orders (id) WHERE status IN ('requested', 'accepted');
COMMENT ON COLUMN ops.orders.id IS 'Database: identity sequence';
COMMENT ON COLUMN ops.orders.kind IS 'Request: what is ordered';
COMMENT ON COLUMN ops.orders.parameters IS 'Request: the parameters of the kind';
COMMENT ON COLUMN ops.orders.reason IS 'Request: why';
COMMENT ON COLUMN ops.orders.idempotency_key IS 'Request: header Idempotency-Key';
COMMENT ON COLUMN ops.orders.wallet IS 'API: the operator''s wallet, if a wallet signed in';
COMMENT ON COLUMN ops.orders.service IS 'API: name of the service whose key was sent, if one was';
COMMENT ON COLUMN ops.orders.key_id
    IS 'API: the key''s row in ops.api_keys; null for the key of the settings';
COMMENT ON COLUMN ops.orders.status
    IS 'Pipelines: requested, accepted by a run, done or failed';
COMMENT ON COLUMN ops.orders.result IS 'Pipelines: what was done, or why it was not';
COMMENT ON COLUMN ops.orders.run_id IS 'Dagster: the last run that accepted it';
COMMENT ON COLUMN ops.orders.attempts IS 'Pipelines: how many runs accepted it';
COMMENT ON COLUMN ops.orders.requested_at IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.orders.accepted_at IS 'Database clock: when a run first accepted it';
COMMENT ON COLUMN ops.orders.ended_at IS 'Database clock: when it was done or failed';

-- What was ordered stays as it was, and what has ended stays ended.
CREATE FUNCTION ops.guard_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.kind, OLD.parameters, OLD.reason, OLD.idempotency_key, OLD.wallet, OLD.service,
            OLD.key_id, OLD.requested_at)
        IS DISTINCT FROM
       (NEW.kind, NEW.parameters, NEW.reason, NEW.idempotency_key, NEW.wallet, NEW.service,
            NEW.key_id, NEW.requested_at)
        OR OLD.status IN ('done', 'failed')
        OR NEW.status = 'requested'
        OR (OLD.accepted_at IS NOT NULL AND NEW.accepted_at IS DISTINCT FROM OLD.accepted_at)
    THEN
        RAISE EXCEPTION 'an order is immutable, and what has ended stays ended'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION ops.guard_new_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'requested' THEN
        RAISE EXCEPTION 'an order begins requested, not %', NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard_new BEFORE INSERT ON ops.orders
    FOR EACH ROW EXECUTE FUNCTION ops.guard_new_order();
CREATE TRIGGER guard BEFORE UPDATE ON ops.orders
    FOR EACH ROW EXECUTE FUNCTION ops.guard_order();
CREATE TRIGGER reject_delete BEFORE DELETE OR TRUNCATE ON ops.orders
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

GRANT SELECT ON ops.orders TO zmart_api, zmart_pipelines;
GRANT INSERT (kind, parameters, reason, idempotency_key, wallet, service, key_id)
    ON ops.orders TO zmart_api;
GRANT UPDATE (status, result, run_id, attempts, accepted_at, ended_at)
    ON ops.orders TO zmart_pipelines;

ALTER TABLE ops.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY read_as_operator ON ops.orders FOR SELECT TO zmart_api USING (ops.is_operator());
CREATE POLICY insert_as_operator ON ops.orders FOR INSERT TO zmart_api
    WITH CHECK (
        ops.is_operator() AND wallet IS NOT DISTINCT FROM community.current_wallet()
    );
CREATE POLICY read_all ON ops.orders FOR SELECT TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY carry_out ON ops.orders FOR UPDATE TO zmart_pipelines USING (true);
CREATE POLICY backup ON ops.orders FOR SELECT TO zmart_backup USING (true);

RESET ROLE;
