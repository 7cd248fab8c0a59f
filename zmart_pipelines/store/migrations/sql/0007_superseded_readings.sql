-- A finalized reading may turn out to be false: a node lost the log, or invented it. It is then
-- orphaned in favour of another finalized reading, in the transaction that stores that one.

SET LOCAL ROLE zmart_owner;

ALTER TABLE chain.transactions
    ADD COLUMN superseded_by BYTEA,
    ADD COLUMN superseded_reason TEXT,
    ADD CONSTRAINT ck_transactions_superseded CHECK (
        (superseded_by IS NULL) = (superseded_reason IS NULL)
        AND (superseded_by IS NULL OR commitment = 'orphaned' AND superseded_by <> digest)
    );
COMMENT ON COLUMN chain.transactions.superseded_by
    IS 'Ingest: digest of the finalized reading that this finalized one gave way to';
COMMENT ON COLUMN chain.transactions.superseded_reason
    IS 'Ingest: what is wrong with this finalized reading';

ALTER TABLE chain.gaps
    DROP CONSTRAINT ck_gaps_kind,
    ADD CONSTRAINT ck_gaps_kind CHECK (
        kind IN ('unread', 'unsupported', 'contradictory', 'incomplete', 'inapplicable')
    );

-- Replaces the rule of 0001: from finalized a row can only become orphaned, and the guards of
-- the tables below say when.
CREATE OR REPLACE FUNCTION chain.guard_commitment(
    old_value chain.commitment, new_value chain.commitment
)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF new_value < old_value AND new_value <> 'orphaned' THEN
        RAISE EXCEPTION 'commitment cannot be lowered from % to %', old_value, new_value
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION chain.guard_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM chain.guard_commitment(OLD.commitment, NEW.commitment);
    IF OLD.commitment = 'finalized' AND NEW.commitment = 'orphaned'
        AND NEW.superseded_by IS NULL
    THEN
        RAISE EXCEPTION 'a finalized row cannot become orphaned unless another supersedes it'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Named with the transition alone; a reading that is revived is superseded no longer.
    IF (OLD.superseded_by, OLD.superseded_reason)
            IS DISTINCT FROM (NEW.superseded_by, NEW.superseded_reason)
        AND NOT (OLD.commitment = 'finalized' AND NEW.commitment = 'orphaned')
        AND NOT (OLD.commitment = 'orphaned' AND NEW.superseded_by IS NULL)
    THEN
        RAISE EXCEPTION 'only a finalized row can be superseded'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Block time and fee as a webhook reported them may be corrected by a node.
    IF (OLD.signature, OLD.digest, OLD.slot, OLD.failed, OLD.logs, OLD.logs_truncated,
        OLD.instructions, OLD.first_seen_at, OLD.xid)
        IS DISTINCT FROM
       (NEW.signature, NEW.digest, NEW.slot, NEW.failed, NEW.logs, NEW.logs_truncated,
        NEW.instructions, NEW.first_seen_at, NEW.xid)
        OR (OLD.commitment = 'finalized' AND OLD.index_in_block IS NOT NULL
            AND NEW.index_in_block IS DISTINCT FROM OLD.index_in_block)
        OR (OLD.commitment <> 'reported' AND OLD.block_time IS NOT NULL
            AND NEW.block_time IS DISTINCT FROM OLD.block_time)
        OR (OLD.commitment <> 'reported' AND OLD.fee IS NOT NULL
            AND NEW.fee IS DISTINCT FROM OLD.fee)
    THEN
        RAISE EXCEPTION 'chain.transactions is append-only'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

-- At the commit, because the superseding reading can be stored only after this one is orphaned:
-- one reading of a transaction counts at a time. For the same reason the superseding one began
-- to count in this transaction.
CREATE FUNCTION chain.confirm_supersession() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM chain.transactions AS t
        WHERE t.signature = NEW.signature AND t.digest = NEW.superseded_by
            AND t.commitment = 'finalized'
    ) THEN
        RAISE EXCEPTION 'the reading that supersedes a finalized one is not stored as finalized'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO ops.alerts AS a (topic, severity, message, detail)
    VALUES (
        'superseded_reading',
        'high',
        'a finalized reading in slot ' || NEW.slot || ' was false and is replaced: '
            || NEW.superseded_reason,
        jsonb_build_object('signature', encode(NEW.signature, 'hex'), 'slot', NEW.slot, 'readings', 1)
    )
    ON CONFLICT (topic, market_id, subject) WHERE cleared_at IS NULL DO UPDATE SET
        message = excluded.message,
        detail = excluded.detail
            || jsonb_build_object('readings', (a.detail ->> 'readings')::int + 1);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER confirm_supersession AFTER UPDATE ON chain.transactions
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.commitment = 'finalized' AND NEW.commitment = 'orphaned')
    EXECUTE FUNCTION chain.confirm_supersession();

CREATE OR REPLACE FUNCTION chain.guard_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM chain.guard_commitment(OLD.commitment, NEW.commitment);
    IF OLD.commitment = 'finalized' AND NEW.commitment = 'orphaned' AND NOT EXISTS (
        SELECT FROM chain.transactions AS t
        WHERE t.signature = OLD.signature AND t.digest = OLD.digest
            AND t.superseded_by IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'a finalized row cannot become orphaned unless another supersedes it'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.signature, OLD.log_index, OLD.digest, OLD.slot, OLD.raw, OLD.first_seen_at, OLD.xid)
        IS DISTINCT FROM
       (NEW.signature, NEW.log_index, NEW.digest, NEW.slot, NEW.raw, NEW.first_seen_at, NEW.xid)
        OR (OLD.commitment = 'finalized' AND OLD.index_in_block IS NOT NULL
            AND NEW.index_in_block IS DISTINCT FROM OLD.index_in_block)
        OR (OLD.market_id IS NOT NULL AND NEW.market_id IS DISTINCT FROM OLD.market_id)
        OR (OLD.quarantine_reason IS NULL AND
            (OLD.name, OLD.data, OLD.instruction, OLD.quarantine_reason)
                IS DISTINCT FROM
            (NEW.name, NEW.data, NEW.instruction, NEW.quarantine_reason))
    THEN
        RAISE EXCEPTION 'chain.events is append-only'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

GRANT UPDATE (superseded_by, superseded_reason) ON chain.transactions TO zmart_ingest;

RESET ROLE;
