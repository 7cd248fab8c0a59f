-- Records that explain what was counted, signed and sent are immutable for every role, the owner
-- included: only a migration that disables the trigger can change them.
SET LOCAL ROLE zmart_owner;

-- A tally begins open. A round after the first begins when the one before it was reopened.
CREATE FUNCTION voting.guard_new_tally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'open' THEN
        RAISE EXCEPTION 'a tally begins open, not %', NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.round > 0 AND NOT EXISTS (
        SELECT FROM voting.tallies AS t
        WHERE t.market_id = NEW.market_id AND t.kind = NEW.kind AND t.round = NEW.round - 1
            AND t.status = 'reopened'
    ) THEN
        RAISE EXCEPTION 'round % begins when round % is reopened', NEW.round, NEW.round - 1
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

-- A tally that is no longer open keeps its counts. Its bundle is recorded once, and it can be
-- reopened, which closes it for good.
CREATE FUNCTION voting.guard_tally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.market_id, OLD.kind, OLD.round, OLD.weight_unit, OLD.opened_at)
            IS DISTINCT FROM (NEW.market_id, NEW.kind, NEW.round, NEW.weight_unit, NEW.opened_at)
        OR (OLD.status, NEW.status) NOT IN (
            ('open', 'open'), ('open', 'frozen'), ('frozen', 'frozen'), ('frozen', 'reopened'),
            ('reopened', 'reopened'))
        OR (OLD.status <> 'open' AND (
            (OLD.votes_for, OLD.votes_against, OLD.ballots, OLD.frozen_slot, OLD.frozen_chain_time,
                OLD.frozen_at, OLD.counted_at)
            IS DISTINCT FROM
            (NEW.votes_for, NEW.votes_against, NEW.ballots, NEW.frozen_slot, NEW.frozen_chain_time,
                NEW.frozen_at, NEW.counted_at)))
        OR (OLD.bundle_cid IS NOT NULL AND NEW.bundle_cid IS DISTINCT FROM OLD.bundle_cid)
    THEN
        RAISE EXCEPTION 'a frozen tally is immutable'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER guard_new BEFORE INSERT ON voting.tallies
    FOR EACH ROW EXECUTE FUNCTION voting.guard_new_tally();
CREATE TRIGGER guard BEFORE UPDATE ON voting.tallies
    FOR EACH ROW EXECUTE FUNCTION voting.guard_tally();
CREATE TRIGGER reject_delete BEFORE DELETE OR TRUNCATE ON voting.tallies
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

-- What a tally counted is recorded while it is still open, by the transaction that freezes it.
CREATE FUNCTION voting.guard_counted_ballots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT market_id, kind, round FROM added) AS a
        LEFT JOIN voting.tallies AS t USING (market_id, kind, round)
        WHERE t.status IS DISTINCT FROM 'open'
    ) THEN
        RAISE EXCEPTION 'a ballot is counted while its tally is open'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER guard_new AFTER INSERT ON voting.counted_ballots
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION voting.guard_counted_ballots();
CREATE TRIGGER reject_change BEFORE UPDATE OR DELETE OR TRUNCATE ON voting.counted_ballots
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

-- What is to be sent, and what was signed. Of an intent the progress changes, until it is final.
CREATE FUNCTION ops.guard_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.market_id, OLD.action, OLD.round, OLD.arguments, OLD.bundle_cid, OLD.created_at)
            IS DISTINCT FROM
            (NEW.id, NEW.market_id, NEW.action, NEW.round, NEW.arguments, NEW.bundle_cid,
                NEW.created_at)
        OR (OLD.status = 'final' AND NEW.status <> 'final')
    THEN
        RAISE EXCEPTION 'what an intent says is immutable'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON ops.intents
    FOR EACH ROW EXECUTE FUNCTION ops.guard_intent();
CREATE TRIGGER reject_delete BEFORE DELETE OR TRUNCATE ON ops.intents
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

CREATE FUNCTION ops.guard_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.intent_id, OLD.market_id, OLD.signature, OLD.transaction, OLD.blockhash,
            OLD.last_valid_block_height, OLD.run_id, OLD.signed_at)
            IS DISTINCT FROM
            (NEW.id, NEW.intent_id, NEW.market_id, NEW.signature, NEW.transaction, NEW.blockhash,
            NEW.last_valid_block_height, NEW.run_id, NEW.signed_at)
        OR OLD.status IN ('final', 'dead')
    THEN
        RAISE EXCEPTION 'a signed attempt is immutable, and settled once'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON ops.attempts
    FOR EACH ROW EXECUTE FUNCTION ops.guard_attempt();
CREATE TRIGGER reject_delete BEFORE DELETE OR TRUNCATE ON ops.attempts
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

-- What users wrote. A comment is deleted by hiding it; a draft disappears only if no market was
-- made of it.
CREATE FUNCTION community.guard_discussion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.market_id, OLD.wallet, OLD.content, OLD.signature, OLD.created_at)
        IS DISTINCT FROM
        (NEW.id, NEW.market_id, NEW.wallet, NEW.content, NEW.signature, NEW.created_at)
    THEN
        RAISE EXCEPTION 'a comment is immutable'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON community.discussions
    FOR EACH ROW EXECUTE FUNCTION community.guard_discussion();
CREATE TRIGGER reject_delete BEFORE DELETE OR TRUNCATE ON community.discussions
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

CREATE FUNCTION community.guard_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.matched_at IS NOT NULL THEN
            RAISE EXCEPTION 'the question of a market cannot be deleted'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (OLD.market_id, OLD.creator, OLD.nonce, OLD.question_hash, OLD.document, OLD.question,
            OLD.description, OLD.category, OLD.tags, OLD.ends_at, OLD.created_at)
        IS DISTINCT FROM
        (NEW.market_id, NEW.creator, NEW.nonce, NEW.question_hash, NEW.document, NEW.question,
            NEW.description, NEW.category, NEW.tags, NEW.ends_at, NEW.created_at)
    THEN
        RAISE EXCEPTION 'a market''s question is immutable'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON community.market_drafts
    FOR EACH ROW EXECUTE FUNCTION community.guard_draft();
CREATE TRIGGER reject_truncate BEFORE TRUNCATE ON community.market_drafts
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

-- A signature that has served a write stays as it was until it has expired and is deleted.
CREATE TRIGGER reject_change BEFORE UPDATE OR TRUNCATE ON community.signed_requests
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

-- Grants that nothing uses.
REVOKE INSERT ON voting.tallies FROM zmart_api;
GRANT INSERT (market_id, kind, round, weight_unit) ON voting.tallies TO zmart_api;
REVOKE DELETE ON voting.counted_ballots FROM zmart_pipelines;
REVOKE DELETE ON ops.intents, ops.attempts FROM zmart_pipelines;

RESET ROLE;
