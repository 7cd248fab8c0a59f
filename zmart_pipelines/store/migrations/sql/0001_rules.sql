-- What the database itself refuses: changes of the record, and the view of ballots.

-- The ledger is a record. A row's commitment climbs, or the row is orphaned; what was not
-- known at first (block time, a claim's market) may be filled in, the index in the block
-- corrected until the row is finalized; a quarantined event may be decoded later.
-- Everything else is for ever.
CREATE FUNCTION chain.guard_commitment(old_value chain.commitment, new_value chain.commitment)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF old_value = 'finalized' AND new_value <> 'finalized' THEN
        RAISE EXCEPTION 'a finalized row stays finalized' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF new_value < old_value AND new_value <> 'orphaned' THEN
        RAISE EXCEPTION 'commitment only climbs: % to %', old_value, new_value
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

CREATE FUNCTION chain.guard_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM chain.guard_commitment(OLD.commitment, NEW.commitment);
    IF (OLD.signature, OLD.digest, OLD.slot, OLD.failed, OLD.logs, OLD.logs_truncated,
        OLD.instructions, OLD.seen_at, OLD.xid)
        IS DISTINCT FROM
       (NEW.signature, NEW.digest, NEW.slot, NEW.failed, NEW.logs, NEW.logs_truncated,
        NEW.instructions, NEW.seen_at, NEW.xid)
        OR (OLD.commitment = 'finalized' AND OLD.index_in_block IS NOT NULL
            AND NEW.index_in_block IS DISTINCT FROM OLD.index_in_block)
        OR (OLD.block_time IS NOT NULL AND NEW.block_time IS DISTINCT FROM OLD.block_time)
        OR (OLD.fee IS NOT NULL AND NEW.fee IS DISTINCT FROM OLD.fee)
    THEN
        RAISE EXCEPTION 'chain.transactions is append-only'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION chain.guard_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM chain.guard_commitment(OLD.commitment, NEW.commitment);
    IF (OLD.signature, OLD.log_index, OLD.digest, OLD.slot, OLD.raw, OLD.seen_at, OLD.xid)
        IS DISTINCT FROM
       (NEW.signature, NEW.log_index, NEW.digest, NEW.slot, NEW.raw, NEW.seen_at, NEW.xid)
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

CREATE FUNCTION chain.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER guard BEFORE UPDATE ON chain.transactions
    FOR EACH ROW EXECUTE FUNCTION chain.guard_transaction();
CREATE TRIGGER guard BEFORE UPDATE ON chain.events
    FOR EACH ROW EXECUTE FUNCTION chain.guard_event();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON chain.transactions
    FOR EACH STATEMENT EXECUTE FUNCTION chain.refuse();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON chain.events
    FOR EACH STATEMENT EXECUTE FUNCTION chain.refuse();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON voting.ballots
    FOR EACH STATEMENT EXECUTE FUNCTION chain.refuse();

-- One ballot per wallet, market, kind and round: the chain's record where there is one, else
-- the signed ballot. A VoteRecord is for ever and has no round: it counts in every round that
-- a tally names, and in round 0 also before there is a tally. A dispute is decided by holders:
-- a record of a wallet without shares in the market does not count.
CREATE VIEW voting.effective_ballots WITH (security_invoker = true) AS
SELECT
    rounds.market_id,
    rounds.kind,
    rounds.round,
    votes.wallet,
    'chain' AS source,
    votes.choice,
    votes.signature,
    to_timestamp(votes.voted_at) AS voted_at,
    NULL::bigint AS ballot_id
FROM (
    SELECT market_id, kind, round FROM voting.tallies
    UNION
    SELECT market_id, kind, 0 FROM market.chain_votes
) AS rounds
JOIN market.chain_votes AS votes
    ON votes.market_id = rounds.market_id AND votes.kind = rounds.kind
WHERE votes.kind = 'proposal' OR EXISTS (
    SELECT FROM market.positions AS held
    WHERE held.market_id = votes.market_id AND held."user" = votes.wallet
        AND held.shares_yes + held.shares_no > 0
)
UNION ALL
SELECT
    ballots.market_id,
    ballots.kind,
    ballots.round,
    ballots.wallet,
    ballots.source,
    ballots.choice,
    ballots.signature,
    ballots.accepted_at AS voted_at,
    ballots.id AS ballot_id
FROM voting.ballots AS ballots
WHERE NOT EXISTS (
    SELECT FROM market.chain_votes AS votes
    WHERE votes.market_id = ballots.market_id
        AND votes.kind = ballots.kind
        AND votes.wallet = ballots.wallet
);
