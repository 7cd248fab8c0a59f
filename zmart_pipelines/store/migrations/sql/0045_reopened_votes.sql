-- The vote of a reopened round begins by the chain's clock, by which its end is judged.

SET LOCAL ROLE zmart_owner;

ALTER TABLE voting.tallies ADD COLUMN opened_chain_time BIGINT;

UPDATE voting.tallies SET opened_chain_time = floor(extract(epoch FROM opened_at))::bigint
WHERE round > 0;

ALTER TABLE voting.tallies ADD CONSTRAINT ck_tallies_opened_chain_time
    CHECK ((round > 0) = (opened_chain_time IS NOT NULL));

COMMENT ON COLUMN voting.tallies.opened_chain_time
    IS 'Chain clock: when operators opened the round, in seconds; null in round 0';

-- The time at which a round opened does not change.
CREATE TRIGGER reject_opened_change BEFORE UPDATE ON voting.tallies
    FOR EACH ROW WHEN (OLD.opened_chain_time IS DISTINCT FROM NEW.opened_chain_time)
    EXECUTE FUNCTION chain.reject_change();

RESET ROLE;
