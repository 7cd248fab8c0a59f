-- What the database itself enforces: the append-only record, the weights of votes, the view of
-- effective ballots, and the triggers that enqueue changed votes.

-- The ledger is append-only. A row's commitment can be promoted, or the row orphaned. Values
-- that were unknown at first (block time, a claim's market) may be filled in, the index in the
-- block corrected until the row is finalized, and a quarantined event decoded later. All other
-- columns are immutable.
CREATE FUNCTION chain.guard_commitment(old_value chain.commitment, new_value chain.commitment)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF old_value = 'finalized' AND new_value <> 'finalized' THEN
        RAISE EXCEPTION 'a finalized row cannot become %', new_value
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF new_value < old_value AND new_value <> 'orphaned' THEN
        RAISE EXCEPTION 'commitment cannot be lowered from % to %', old_value, new_value
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$;

CREATE FUNCTION chain.guard_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM chain.guard_commitment(OLD.commitment, NEW.commitment);
    IF (OLD.signature, OLD.digest, OLD.slot, OLD.failed, OLD.logs, OLD.logs_truncated,
        OLD.instructions, OLD.first_seen_at, OLD.xid)
        IS DISTINCT FROM
       (NEW.signature, NEW.digest, NEW.slot, NEW.failed, NEW.logs, NEW.logs_truncated,
        NEW.instructions, NEW.first_seen_at, NEW.xid)
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

CREATE FUNCTION chain.reject_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER guard BEFORE UPDATE ON chain.transactions
    FOR EACH ROW EXECUTE FUNCTION chain.guard_transaction();
CREATE TRIGGER guard BEFORE UPDATE ON chain.events
    FOR EACH ROW EXECUTE FUNCTION chain.guard_event();
CREATE TRIGGER reject_delete BEFORE DELETE OR TRUNCATE ON chain.transactions
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();
CREATE TRIGGER reject_delete BEFORE DELETE OR TRUNCATE ON chain.events
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();
CREATE TRIGGER reject_change BEFORE UPDATE OR DELETE OR TRUNCATE ON voting.ballots
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

-- Shares of both sides that a wallet held at the end of the slot in which the market was (last)
-- disputed: its current shares without the trades since. No row for a wallet that never traded.
CREATE FUNCTION voting.shares_at_dispute(market BYTEA, holder BYTEA)
RETURNS TABLE (shares NUMERIC)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT p.shares_yes + p.shares_no - coalesce((
        SELECT sum(CASE t.trade_type WHEN 'buy' THEN t.shares ELSE -t.shares END)
        FROM market.trades AS t
        WHERE t.market_id = market AND t."user" = holder AND t.slot > (
            SELECT max(e.slot) FROM chain.events AS e
            WHERE e.market_id = market AND e.name = 'DisputeInitiated'
                AND e.commitment <> 'orphaned'
        )
    ), 0)
    FROM market.positions AS p
    WHERE p.market_id = market AND p."user" = holder
$$;

-- The weight of a ballot whose wallet held ``shares`` (9 decimals): whole multiples of ``unit``,
-- at least one vote. Without a unit each wallet counts once.
CREATE FUNCTION voting.ballot_weight(shares NUMERIC, unit BIGINT) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN unit IS NULL THEN 1 ELSE greatest(1, div(shares, unit))::bigint END
$$;

-- One ballot per wallet, market, kind and round: the chain's VoteRecord where there is one, else
-- the signed ballot. A VoteRecord is permanent and has no round: it counts in every round that
-- has a tally, and in round 0 also before there is one. Only wallets that held shares when the
-- dispute began vote on it, by their weight.
CREATE VIEW voting.effective_ballots WITH (security_invoker = true) AS
SELECT
    rounds.market_id,
    rounds.kind,
    rounds.round,
    votes.wallet,
    'chain' AS source,
    votes.choice,
    CASE votes.kind WHEN 'dispute' THEN voting.ballot_weight(held.shares, rounds.weight_unit)
        ELSE 1 END AS weight,
    votes.signature,
    to_timestamp(votes.voted_at) AS voted_at,
    NULL::bigint AS ballot_id
FROM (
    SELECT market_id, kind, round, weight_unit FROM voting.tallies
    UNION ALL
    SELECT DISTINCT market_id, kind, 0, NULL::bigint FROM market.chain_votes AS v
    WHERE NOT EXISTS (
        SELECT FROM voting.tallies AS t
        WHERE t.market_id = v.market_id AND t.kind = v.kind AND t.round = 0
    )
) AS rounds
JOIN market.chain_votes AS votes
    ON votes.market_id = rounds.market_id AND votes.kind = rounds.kind
LEFT JOIN LATERAL voting.shares_at_dispute(votes.market_id, votes.wallet) AS held
    ON votes.kind = 'dispute'
WHERE votes.kind = 'proposal' OR held.shares > 0
UNION ALL
SELECT
    ballots.market_id,
    ballots.kind,
    ballots.round,
    ballots.wallet,
    ballots.source,
    ballots.choice,
    ballots.weight,
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

-- A change of the votes cast on chain enqueues their votes for the aggregator.
CREATE FUNCTION voting.enqueue_chain_votes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO voting.change_queue (market_id, kind)
        SELECT DISTINCT market_id, kind FROM changed;
    RETURN NULL;
END
$$;
CREATE TRIGGER enqueue_insert AFTER INSERT ON market.chain_votes
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION voting.enqueue_chain_votes();
CREATE TRIGGER enqueue_update AFTER UPDATE ON market.chain_votes
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION voting.enqueue_chain_votes();
CREATE TRIGGER enqueue_delete AFTER DELETE ON market.chain_votes
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION voting.enqueue_chain_votes();

-- A market that is proposed, or proposed again after its ledger was refolded, is scanned.
CREATE FUNCTION voting.enqueue_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO voting.change_queue (market_id, kind) VALUES (NEW.market_id, 'proposal');
    RETURN NULL;
END
$$;
CREATE TRIGGER enqueue_new_proposal AFTER INSERT ON market.markets
    FOR EACH ROW WHEN (NEW.state = {{PROPOSED}})
    EXECUTE FUNCTION voting.enqueue_proposal();
CREATE TRIGGER enqueue_repeated_proposal AFTER UPDATE OF state ON market.markets
    FOR EACH ROW WHEN (NEW.state = {{PROPOSED}} AND OLD.state <> {{PROPOSED}})
    EXECUTE FUNCTION voting.enqueue_proposal();

-- A market that changed its state is enqueued, so that the alerts about it are checked again.
CREATE FUNCTION voting.enqueue_state_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO voting.change_queue (market_id, kind) VALUES (NEW.market_id, 'state');
    RETURN NULL;
END
$$;
CREATE TRIGGER enqueue_state_change AFTER UPDATE OF state ON market.markets
    FOR EACH ROW WHEN (NEW.state <> OLD.state)
    EXECUTE FUNCTION voting.enqueue_state_change();
