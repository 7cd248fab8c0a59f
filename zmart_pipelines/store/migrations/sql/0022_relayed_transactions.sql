-- Transactions that wallets signed and handed to the API. A row is committed before its bytes are
-- first sent, and one process at a time, by its lease and its epoch, brings it to its end.
SET LOCAL ROLE zmart_owner;

CREATE TABLE ops.relayed_transactions (
    signature BYTEA NOT NULL,
    fee_payer BYTEA NOT NULL,
    transaction BYTEA NOT NULL,
    instructions TEXT[] NOT NULL,
    last_valid_block_height BIGINT NOT NULL,
    state TEXT DEFAULT 'stored' NOT NULL
        CONSTRAINT ck_relayed_transactions_state CHECK (
            state IN ('stored', 'sent', 'confirmed', 'finalized', 'failed', 'expired')
        ),
    sends INTEGER DEFAULT '0' NOT NULL,
    refusal TEXT,
    landed_slot BIGINT,
    error JSONB,
    holder TEXT,
    epoch BIGINT DEFAULT '0' NOT NULL,
    leased_until timestamptz DEFAULT now() NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    sent_at timestamptz,
    confirmed_at timestamptz,
    settled_at timestamptz,
    CONSTRAINT pk_relayed_transactions PRIMARY KEY (signature),
    CONSTRAINT ck_relayed_transactions_signature CHECK (octet_length(signature) = 64),
    CONSTRAINT ck_relayed_transactions_fee_payer CHECK (octet_length(fee_payer) = 32),
    CONSTRAINT ck_relayed_transactions_transaction
        CHECK (octet_length(transaction) BETWEEN 1 AND 1232),
    CONSTRAINT ck_relayed_transactions_settled
        CHECK ((state IN ('finalized', 'failed', 'expired')) = (settled_at IS NOT NULL)),
    CONSTRAINT ck_relayed_transactions_landed
        CHECK ((state IN ('confirmed', 'finalized', 'failed')) = (landed_slot IS NOT NULL)),
    CONSTRAINT ck_relayed_transactions_error CHECK ((state = 'failed') = (error IS NOT NULL))
);
CREATE INDEX ix_relayed_transactions_open
    ON ops.relayed_transactions (received_at) WHERE settled_at IS NULL;
CREATE INDEX ix_relayed_transactions_fee_payer_received_at
    ON ops.relayed_transactions (fee_payer, received_at);
COMMENT ON COLUMN ops.relayed_transactions.signature IS 'Transaction: the fee payer''s signature';
COMMENT ON COLUMN ops.relayed_transactions.fee_payer IS 'Transaction: the wallet that signed first';
COMMENT ON COLUMN ops.relayed_transactions.transaction IS 'Request: signed bytes';
COMMENT ON COLUMN ops.relayed_transactions.instructions
    IS 'Transaction: names of the program''s instructions';
COMMENT ON COLUMN ops.relayed_transactions.last_valid_block_height
    IS 'Chain: block height after which it cannot land';
COMMENT ON COLUMN ops.relayed_transactions.state IS 'Relay: how far it has come';
COMMENT ON COLUMN ops.relayed_transactions.sends IS 'Relay: times that a node took it';
COMMENT ON COLUMN ops.relayed_transactions.refusal
    IS 'Nodes: why none took it when it was last refused';
COMMENT ON COLUMN ops.relayed_transactions.landed_slot IS 'Chain: slot that contains it';
COMMENT ON COLUMN ops.relayed_transactions.error IS 'Chain: the transaction''s error at finalized';
COMMENT ON COLUMN ops.relayed_transactions.holder IS 'Relay: process that drives it';
COMMENT ON COLUMN ops.relayed_transactions.epoch
    IS 'Database: incremented at each change of holder';
COMMENT ON COLUMN ops.relayed_transactions.leased_until
    IS 'Database clock plus the lease''s duration';
COMMENT ON COLUMN ops.relayed_transactions.received_at
    IS 'Database clock: when the row was inserted';
COMMENT ON COLUMN ops.relayed_transactions.sent_at IS 'Database clock: when a node first took it';
COMMENT ON COLUMN ops.relayed_transactions.confirmed_at
    IS 'Database clock: when it was first seen in a confirmed block';
COMMENT ON COLUMN ops.relayed_transactions.settled_at
    IS 'Database clock: when its end became known';

-- The end of a transaction is a fact: whoever holds an older lease cannot change it.
CREATE FUNCTION ops.guard_relayed_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a relayed transaction that has ended is immutable'
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON ops.relayed_transactions
    FOR EACH ROW WHEN (OLD.settled_at IS NOT NULL)
    EXECUTE FUNCTION ops.guard_relayed_transaction();

-- A request inserts and reads as its fee payer. The relay drives the rows of all wallets, and says
-- so in its transactions by the setting app.relay; it changes the progress, never what was signed.
-- Whoever knows a signature may ask how far it has come; the bytes are for the relay alone.
ALTER TABLE ops.relayed_transactions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY insert_own ON ops.relayed_transactions FOR INSERT TO zmart_api
    WITH CHECK (fee_payer = community.current_wallet());
CREATE POLICY read_own ON ops.relayed_transactions FOR SELECT TO zmart_api
    USING (fee_payer = community.current_wallet());
CREATE POLICY read_as_relay ON ops.relayed_transactions FOR SELECT TO zmart_api
    USING (current_setting('app.relay', true) = 'on');
CREATE POLICY update_as_relay ON ops.relayed_transactions FOR UPDATE TO zmart_api
    USING (current_setting('app.relay', true) = 'on');
CREATE POLICY read_progress ON ops.relayed_transactions FOR SELECT TO zmart_read USING (true);
CREATE POLICY system ON ops.relayed_transactions TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY backup ON ops.relayed_transactions FOR SELECT TO zmart_backup USING (true);

GRANT SELECT ON ops.relayed_transactions TO zmart_api, zmart_pipelines;
GRANT SELECT (signature, fee_payer, instructions, last_valid_block_height, state, sends, refusal,
        landed_slot, error, holder, epoch, leased_until, received_at, sent_at, confirmed_at,
        settled_at)
    ON ops.relayed_transactions TO zmart_read;
GRANT INSERT (signature, fee_payer, transaction, instructions, last_valid_block_height)
    ON ops.relayed_transactions TO zmart_api;
GRANT UPDATE (state, sends, refusal, landed_slot, error, holder, epoch, leased_until, sent_at,
        confirmed_at, settled_at)
    ON ops.relayed_transactions TO zmart_api, zmart_pipelines;
GRANT DELETE ON ops.relayed_transactions TO zmart_pipelines;

RESET ROLE;
