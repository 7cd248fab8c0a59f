-- An intent is as old as the decision behind it: its age runs from the moment that the decision became
-- due, not from the moment that a run planned it.
SET LOCAL ROLE zmart_owner;

ALTER TABLE ops.intents ADD COLUMN due_at TIMESTAMPTZ;
UPDATE ops.intents SET due_at = created_at;
ALTER TABLE ops.intents
    ALTER COLUMN due_at SET DEFAULT now(),
    ALTER COLUMN due_at SET NOT NULL,
    ADD CONSTRAINT ck_intents_due_at CHECK (due_at <= created_at);
COMMENT ON COLUMN ops.intents.due_at
    IS 'Planner: when the decision became due, by the database''s clock';

CREATE OR REPLACE FUNCTION ops.guard_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.market_id, OLD.action, OLD.round, OLD.arguments, OLD.bundle_cid, OLD.due_at,
                OLD.created_at)
            IS DISTINCT FROM
            (NEW.id, NEW.market_id, NEW.action, NEW.round, NEW.arguments, NEW.bundle_cid, NEW.due_at,
                NEW.created_at)
        OR (OLD.status = 'final' AND NEW.status <> 'final')
    THEN
        RAISE EXCEPTION 'what an intent says is immutable'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

RESET ROLE;
