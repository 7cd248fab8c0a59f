-- The numbers of markets by state and category, kept by triggers; and the counts of an open vote.

SET LOCAL ROLE zmart_owner;

CREATE TABLE market.market_counts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    state SMALLINT NOT NULL,
    category TEXT NOT NULL,
    markets BIGINT NOT NULL,
    CONSTRAINT pk_market_counts PRIMARY KEY (id)
);
CREATE INDEX ix_market_counts_state_category ON market.market_counts (state, category);
COMMENT ON COLUMN market.market_counts.id IS 'Database: identity sequence';
COMMENT ON COLUMN market.market_counts.state IS 'markets.state';
COMMENT ON COLUMN market.market_counts.category
    IS 'Category of the matched draft; empty where the market has none';
COMMENT ON COLUMN market.market_counts.markets
    IS 'Computed: markets that came, less those that went; one of several rows with a sum';

-- Whoever writes markets or drafts has no right on the counts: the functions below have it.

-- Adds to the number of markets of a state and category. Transactions that change the same number
-- at once take rows of their own, so that none waits for another and none deadlocks. A row is used
-- again when its transaction has ended. There are as many as transactions ever met.
CREATE FUNCTION market.add_to_count(of_state SMALLINT, of_category TEXT, change BIGINT) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE market.market_counts AS c SET markets = c.markets + change
    WHERE c.id = (
        SELECT f.id FROM market.market_counts AS f
        WHERE f.state = of_state AND f.category = of_category
        ORDER BY f.id LIMIT 1 FOR UPDATE SKIP LOCKED
    );
    IF NOT FOUND THEN
        INSERT INTO market.market_counts (state, category, markets)
        VALUES (of_state, of_category, change);
    END IF;
END
$$;

-- Counts markets (with 1) that came into a state and (with -1) that left one. Their drafts cannot be
-- matched meanwhile: a transaction that is about to commit such a change is waited for, a later one
-- waits and then sees these markets.
CREATE FUNCTION market.count_markets(ids BYTEA[], states SMALLINT[], changes BIGINT[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM community.market_drafts AS d
    WHERE d.market_id = ANY(ids) ORDER BY d.market_id FOR SHARE;
    PERFORM market.add_to_count(cell.state, cell.category, cell.change) FROM (
        SELECT a.state, coalesce(d.category, '') AS category, sum(a.change)::bigint AS change
        FROM unnest(ids, states, changes) AS a (market_id, state, change)
        LEFT JOIN community.market_drafts AS d
            ON d.market_id = a.market_id AND d.matched_at IS NOT NULL
        GROUP BY 1, 2 HAVING sum(a.change) <> 0
    ) AS cell;
END
$$;

CREATE FUNCTION market.count_changed_markets() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM market.count_markets(array_agg(a.market_id), array_agg(a.state), array_agg(1::bigint))
        FROM added AS a HAVING count(*) > 0;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM market.count_markets(
            array_agg(c.market_id), array_agg(c.state), array_agg(c.change))
        FROM (
            SELECT n.market_id, n.state, 1::bigint AS change
            FROM added AS n JOIN removed AS o USING (market_id) WHERE n.state <> o.state
            UNION ALL
            SELECT o.market_id, o.state, -1::bigint
            FROM added AS n JOIN removed AS o USING (market_id) WHERE n.state <> o.state
        ) AS c HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM market.count_markets(
            array_agg(r.market_id), array_agg(r.state), array_agg(-1::bigint))
        FROM removed AS r HAVING count(*) > 0;
    ELSE
        DELETE FROM market.market_counts;
    END IF;
    RETURN NULL;
END
$$;

-- A market without a matched draft counts under the empty category, and moves when one is matched.
CREATE FUNCTION market.move_market_counts(ids BYTEA[], categories TEXT[], changes BIGINT[])
RETURNS void LANGUAGE sql AS $$
    SELECT market.add_to_count(cell.state, cell.category, cell.change) FROM (
        SELECT m.state, moved.category, sum(moved.change)::bigint AS change
        FROM unnest(ids, categories, changes) AS a (market_id, category, change)
        CROSS JOIN LATERAL (
            VALUES (a.category, a.change), ('', -a.change)
        ) AS moved (category, change)
        JOIN market.markets AS m ON m.market_id = a.market_id
        GROUP BY 1, 2 HAVING sum(moved.change) <> 0
    ) AS cell
$$;

CREATE FUNCTION market.count_changed_drafts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        PERFORM market.move_market_counts(
            array_agg(a.market_id), array_agg(a.category), array_agg(1::bigint))
        FROM added AS a WHERE a.matched_at IS NOT NULL HAVING count(*) > 0;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM market.move_market_counts(
            array_agg(r.market_id), array_agg(r.category), array_agg(-1::bigint))
        FROM removed AS r WHERE r.matched_at IS NOT NULL HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

-- Counts again, for a database whose triggers were off. Writers wait meanwhile.
CREATE FUNCTION market.recount_markets() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE community.market_drafts, market.markets IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM market.market_counts;
    INSERT INTO market.market_counts (state, category, markets)
    SELECT m.state, coalesce(d.category, ''), count(*)
    FROM market.markets AS m
    LEFT JOIN community.market_drafts AS d
        ON d.market_id = m.market_id AND d.matched_at IS NOT NULL
    GROUP BY 1, 2;
END
$$;

CREATE TRIGGER count_insert AFTER INSERT ON market.markets
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION market.count_changed_markets();
CREATE TRIGGER count_update AFTER UPDATE ON market.markets
    REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION market.count_changed_markets();
CREATE TRIGGER count_delete AFTER DELETE ON market.markets
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION market.count_changed_markets();
CREATE TRIGGER count_truncate AFTER TRUNCATE ON market.markets
    FOR EACH STATEMENT EXECUTE FUNCTION market.count_changed_markets();
CREATE TRIGGER count_insert AFTER INSERT ON community.market_drafts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION market.count_changed_drafts();
CREATE TRIGGER count_update AFTER UPDATE ON community.market_drafts
    REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION market.count_changed_drafts();
CREATE TRIGGER count_delete AFTER DELETE ON community.market_drafts
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION market.count_changed_drafts();
SELECT market.recount_markets();

REVOKE EXECUTE ON FUNCTION market.add_to_count, market.count_markets, market.move_market_counts,
    market.recount_markets FROM PUBLIC;
GRANT EXECUTE ON FUNCTION market.recount_markets TO zmart_ingest;
GRANT SELECT ON market.market_counts
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;

-- The counts of a vote in its latest round, by weight: of an open one as they are now, of a frozen
-- one as they were frozen. Votes on chain count in place of the same wallet's ballot.
CREATE FUNCTION voting.counts(of_market BYTEA, of_kind TEXT)
RETURNS TABLE (round INTEGER, votes_for BIGINT, votes_against BIGINT, status TEXT)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT t.round,
        t.votes_for + CASE WHEN t.is_open THEN added.chain_for ELSE 0 END,
        t.votes_against + CASE WHEN t.is_open THEN added.chain_against ELSE 0 END,
        t.status
    FROM (
        SELECT latest.*, latest.status = 'open' AS is_open FROM (
            SELECT s.round, s.votes_for, s.votes_against, s.status, s.weight_unit
            FROM voting.tallies AS s
            WHERE s.market_id = of_market AND s.kind = of_kind
            ORDER BY s.round DESC LIMIT 1
        ) AS latest
        UNION ALL
        SELECT 0, 0::bigint, 0::bigint, NULL::text, NULL::bigint, true
        WHERE NOT EXISTS (
            SELECT FROM voting.tallies AS s WHERE s.market_id = of_market AND s.kind = of_kind
        )
    ) AS t
    CROSS JOIN LATERAL (
        SELECT
            (coalesce(sum(v.weight) FILTER (WHERE v.choice), 0)
                - coalesce(sum(b.weight) FILTER (WHERE b.choice), 0))::bigint AS chain_for,
            (coalesce(sum(v.weight) FILTER (WHERE NOT v.choice), 0)
                - coalesce(sum(b.weight) FILTER (WHERE NOT b.choice), 0))::bigint AS chain_against
        FROM (
            SELECT c.wallet, c.choice, CASE c.kind
                WHEN 'dispute' THEN voting.ballot_weight(held.shares, t.weight_unit) ELSE 1
            END AS weight
            FROM market.chain_votes AS c
            LEFT JOIN LATERAL voting.shares_at_dispute(c.market_id, c.wallet) AS held
                ON c.kind = 'dispute'
            WHERE c.market_id = of_market AND c.kind = of_kind
                AND (c.kind = 'proposal' OR held.shares > 0)
        ) AS v
        LEFT JOIN voting.ballots AS b
            ON b.market_id = of_market AND b.kind = of_kind AND b.wallet = v.wallet
            AND b.round = t.round AND b.source = 'wallet'
    ) AS added
$$;

RESET ROLE;
