-- Activation becomes an action of ours; alerts remember that they were posted.
SET LOCAL ROLE zmart_owner;

ALTER TABLE ops.intents DROP CONSTRAINT ck_intents_action;
ALTER TABLE ops.intents ADD CONSTRAINT ck_intents_action CHECK (
    action IN (
        'aggregate_proposal_votes', 'approve_proposal', 'activate_market', 'resolve_market',
        'finalize_market'
    )
);

ALTER TABLE ops.alerts ADD COLUMN posted_at timestamptz;
CREATE INDEX ix_alerts_unposted ON ops.alerts (id)
    WHERE posted_at IS NULL AND cleared_at IS NULL AND severity IN ('critical', 'high');

RESET ROLE;
