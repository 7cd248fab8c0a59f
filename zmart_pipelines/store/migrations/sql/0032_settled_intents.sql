-- Intents that came to their end lately, which metrics count.
SET LOCAL ROLE zmart_owner;

CREATE INDEX ix_intents_settled ON ops.intents (updated_at)
    WHERE status NOT IN ('planned', 'live');
RESET ROLE;
