-- Markets that moved to another state, so that the alerts about them are looked at again; and
-- alerts by their topic.
SET LOCAL ROLE zmart_owner;

ALTER TABLE voting.changes DROP CONSTRAINT ck_changes_kind;
ALTER TABLE voting.changes ADD CONSTRAINT ck_changes_kind
    CHECK (kind IN ('proposal', 'dispute', 'state'));

CREATE FUNCTION voting.note_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO voting.changes (market_id, kind) VALUES (NEW.market_id, 'state');
    RETURN NULL;
END
$$;
CREATE TRIGGER note_move AFTER UPDATE OF state ON market.markets
    FOR EACH ROW WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION voting.note_move();

CREATE INDEX ix_alerts_topic ON ops.alerts (split_part(key, ':', 1)) WHERE cleared_at IS NULL;

RESET ROLE;
