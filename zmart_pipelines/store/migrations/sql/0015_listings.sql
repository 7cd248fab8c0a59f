-- What lists of markets are searched, filtered and sorted by beside the columns of the markets: one
-- row per market, maintained by triggers, so that it follows every writer.
SET LOCAL ROLE zmart_owner;

-- The words of a text, in lower case and without accents. All rules are named here, so that they
-- do not depend on the locale of a server: the simple configuration's parser splits words by it.
-- Marks of scripts whose words need them stay; Hebrew and Arabic points go with the accents.
CREATE FUNCTION market.words(value TEXT) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT array_remove(regexp_split_to_array(
        translate(lower(normalize(regexp_replace(
            normalize(value, NFKD),
            '[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f]+', '', 'g'
        ), NFKC) COLLATE pg_c_utf8), 'ς', 'σ'),
        '[^[:alnum:]\u0660-\u0669\u06f0-\u06f9\u0900-\u0963\u0966-\u109f]+'
    ), '')
$$;

-- The words of some texts. A lexeme has at most 2046 bytes, hence at most 60 characters.
CREATE FUNCTION market.search_document(VARIADIC texts TEXT[]) RETURNS TSVECTOR
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT array_to_tsvector(coalesce(array_agg(DISTINCT left(word, 60)), '{}'))
    FROM unnest(texts) AS value, unnest(market.words(value)) AS word
$$;

-- The query of all words of a text: words that begin with them, single characters whole. Text
-- without any word finds nothing.
CREATE FUNCTION market.search_query(value TEXT) RETURNS TSQUERY
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT coalesce(string_agg(
        DISTINCT '''' || left(word, 60) || '''' || CASE WHEN length(word) > 1 THEN ':*' ELSE '' END,
        ' & '
    ), '')::tsquery
    FROM unnest(market.words(value)) AS word
$$;

CREATE TABLE market.listings (
    market_id BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    category TEXT,
    tags TEXT[] DEFAULT '{}' NOT NULL,
    ends_at BIGINT,
    question_words TSVECTOR NOT NULL,
    words TSVECTOR NOT NULL,
    volume_24h NUMERIC(20, 0) DEFAULT 0 NOT NULL,
    trending_score NUMERIC(20, 0) DEFAULT 0 NOT NULL,
    CONSTRAINT pk_listings PRIMARY KEY (market_id),
    CONSTRAINT fk_listings_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
COMMENT ON COLUMN market.listings.market_id IS 'Markets';
COMMENT ON COLUMN market.listings.created_at IS 'markets.created_at';
COMMENT ON COLUMN market.listings.state IS 'markets.state';
COMMENT ON COLUMN market.listings.category IS 'market_drafts.category of the matched draft';
COMMENT ON COLUMN market.listings.tags IS 'market_drafts.tags of the matched draft, in lower case';
COMMENT ON COLUMN market.listings.ends_at
    IS 'market_drafts.ends_at of the matched draft, in microseconds since 1970';
COMMENT ON COLUMN market.listings.question_words
    IS 'Computed: words of the matched draft''s question';
COMMENT ON COLUMN market.listings.words
    IS 'Computed: words of the matched draft''s question, tags and description';
COMMENT ON COLUMN market.listings.volume_24h IS 'market_statistics.volume_24h';
COMMENT ON COLUMN market.listings.trending_score
    IS 'Computed: 6 x volume_24h + 4 SOL x traders_24h of market_statistics';

-- Writes the listing of a market, but for its statistics. SECURITY DEFINER like the triggers below:
-- no role may write listings.
CREATE FUNCTION market.list_market(wanted BYTEA) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO market.listings AS l
        (market_id, created_at, state, category, tags, ends_at, question_words, words)
    SELECT m.market_id, m.created_at, m.state, d.category,
        coalesce(
            (SELECT array_agg(lower(tag COLLATE pg_c_utf8)) FROM unnest(d.tags) AS tag), '{}'
        ),
        (extract(epoch FROM d.ends_at) * 1000000)::bigint,
        market.search_document(named.question),
        market.search_document(
            named.question, array_to_string(d.tags, ' '), coalesce(d.description, '')
        )
    FROM market.markets AS m
    LEFT JOIN community.market_drafts AS d
        ON d.market_id = m.market_id AND d.matched_at IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT coalesce(d.question, 'Market ' || left(encode(m.market_id, 'hex'), 8)) AS question
    ) AS named
    WHERE m.market_id = wanted
    ON CONFLICT (market_id) DO UPDATE SET created_at = excluded.created_at,
        state = excluded.state, category = excluded.category, tags = excluded.tags,
        ends_at = excluded.ends_at, question_words = excluded.question_words,
        words = excluded.words
$$;

-- Of markets and of drafts.
CREATE FUNCTION market.list_changed_market() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM market.list_market(coalesce(NEW.market_id, OLD.market_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER list_new AFTER INSERT ON market.markets
    FOR EACH ROW EXECUTE FUNCTION market.list_changed_market();
CREATE TRIGGER list_changed AFTER UPDATE OF state, created_at ON market.markets
    FOR EACH ROW WHEN (OLD.state <> NEW.state OR OLD.created_at <> NEW.created_at)
    EXECUTE FUNCTION market.list_changed_market();
CREATE TRIGGER list_new AFTER INSERT ON community.market_drafts
    FOR EACH ROW WHEN (NEW.matched_at IS NOT NULL)
    EXECUTE FUNCTION market.list_changed_market();
CREATE TRIGGER list_changed AFTER UPDATE ON community.market_drafts
    FOR EACH ROW WHEN (OLD.matched_at IS NOT NULL OR NEW.matched_at IS NOT NULL)
    EXECUTE FUNCTION market.list_changed_market();
CREATE TRIGGER list_removed AFTER DELETE ON community.market_drafts
    FOR EACH ROW WHEN (OLD.matched_at IS NOT NULL)
    EXECUTE FUNCTION market.list_changed_market();

CREATE FUNCTION market.list_statistics() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    volume numeric := coalesce(NEW.volume_24h, 0);
    score numeric := least(
        6 * coalesce(NEW.volume_24h, 0) + 4000000000 * coalesce(NEW.traders_24h, 0),
        99999999999999999999
    );
BEGIN
    UPDATE market.listings AS l SET volume_24h = volume, trending_score = score
    WHERE l.market_id = coalesce(NEW.market_id, OLD.market_id)
        AND (l.volume_24h, l.trending_score) <> (volume, score);
    RETURN NULL;
END
$$;
CREATE TRIGGER list_changed AFTER INSERT OR UPDATE OR DELETE ON market.market_statistics
    FOR EACH ROW EXECUTE FUNCTION market.list_statistics();

-- Markets that exist. The trigger reads what an update of their statistics would write.
SELECT count(market.list_market(market_id)) FROM market.markets;
UPDATE market.market_statistics SET volume_24h = volume_24h
WHERE volume_24h > 0 OR traders_24h > 0;

CREATE INDEX ix_listings_category_created_at_market_id
    ON market.listings (category, created_at, market_id);
CREATE INDEX ix_listings_category_state_created_at_market_id
    ON market.listings (category, state, created_at, market_id);
CREATE INDEX ix_listings_created_at_market_id ON market.listings (created_at, market_id);
CREATE INDEX ix_listings_ends_at_market_id ON market.listings (ends_at, market_id);
CREATE INDEX ix_listings_volume_24h_market_id ON market.listings (volume_24h, market_id);
CREATE INDEX ix_listings_trending_score_market_id ON market.listings (trending_score, market_id);
CREATE INDEX ix_listings_tags ON market.listings USING gin (tags);
CREATE INDEX ix_listings_question_words ON market.listings USING gin (question_words);
CREATE INDEX ix_listings_words ON market.listings USING gin (words);

DROP INDEX market.ix_markets_creator;
CREATE INDEX ix_markets_creator_created_at_market_id
    ON market.markets (creator, created_at, market_id);
CREATE INDEX ix_markets_total_volume_market_id ON market.markets (total_volume, market_id);
CREATE INDEX ix_markets_current_liquidity_market_id
    ON market.markets (current_liquidity, market_id);
CREATE INDEX ix_market_statistics_as_of ON market.market_statistics (as_of);

-- How far a vote is from a tie: 0 is one, 1000000 a vote in which all agree, or without votes.
ALTER TABLE voting.tallies ADD COLUMN margin INTEGER NOT NULL GENERATED ALWAYS AS (
    (CASE WHEN votes_for + votes_against::numeric = 0 THEN 1000000 ELSE
        div(abs(votes_for - votes_against::numeric) * 1000000, votes_for + votes_against::numeric)
    END)::integer
) STORED;
COMMENT ON COLUMN voting.tallies.margin
    IS 'Computed: difference of the votes in millionths of their sum; 1000000 without votes';
CREATE INDEX ix_tallies_margin ON voting.tallies (margin, market_id) WHERE status = 'open';

GRANT SELECT ON market.listings TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;

RESET ROLE;
