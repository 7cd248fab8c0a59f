-- What wallets made of their trades, hour by hour, and the leaderboards that add it up.

SET LOCAL ROLE zmart_owner;

-- All statistics are computed from other tables: without their rows every market is due, and the
-- next refresh computes them with the new columns.
DELETE FROM market.market_statistics;
DELETE FROM market.wallet_statistics;
ALTER TABLE market.wallet_statistics
    ADD COLUMN open_cost NUMERIC(20, 0) NOT NULL,
    DROP CONSTRAINT ck_wallet_statistics_amounts,
    ADD CONSTRAINT ck_wallet_statistics_amounts CHECK (
        trades >= 0 AND volume >= 0 AND invested >= 0 AND proceeds >= 0 AND claimed >= 0 AND
        open_value >= 0 AND open_cost BETWEEN 0 AND invested
    ),
    DROP CONSTRAINT ck_wallet_statistics_settled,
    ADD CONSTRAINT ck_wallet_statistics_settled CHECK (
        NOT settled OR open_value = 0 AND open_cost = 0
    ),
    DROP CONSTRAINT ck_wallet_statistics_realised_pnl,
    ADD CONSTRAINT ck_wallet_statistics_realised_pnl CHECK (
        realised_pnl = proceeds + claimed - invested + open_cost
    );
COMMENT ON COLUMN market.wallet_statistics.open_cost
    IS 'Computed: average cost of the shares held; 0 once claimed or settled';
COMMENT ON COLUMN market.wallet_statistics.realised_pnl
    IS 'Computed: proceeds + claimed - invested + open_cost';

CREATE TABLE market.pool_history (
    market_id BYTEA NOT NULL,
    starts_at BIGINT NOT NULL,
    shares_yes NUMERIC(20, 0) NOT NULL,
    shares_no NUMERIC(20, 0) NOT NULL,
    liquidity NUMERIC(20, 0) NOT NULL,
    resolver_fees NUMERIC(20, 0) NOT NULL,
    balance NUMERIC(20, 0) NOT NULL,
    price_yes BIGINT NOT NULL,
    trades INTEGER NOT NULL,
    CONSTRAINT pk_pool_history PRIMARY KEY (market_id, starts_at),
    CONSTRAINT ck_pool_history_starts_at CHECK (starts_at % 3600 = 0),
    CONSTRAINT ck_pool_history_trades CHECK (trades > 0 AND price_yes BETWEEN 0 AND 1000000000),
    CONSTRAINT fk_pool_history_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
COMMENT ON COLUMN market.pool_history.market_id IS 'Trades';
COMMENT ON COLUMN market.pool_history.starts_at IS 'trades.traded_at, rounded down to the hour';
COMMENT ON COLUMN market.pool_history.shares_yes IS 'Replayed: b_parameter / 1000 and trades';
COMMENT ON COLUMN market.pool_history.shares_no IS 'Replayed: b_parameter / 1000 and trades';
COMMENT ON COLUMN market.pool_history.liquidity
    IS 'Replayed: markets.initial_liquidity and the fees that trades left in it';
COMMENT ON COLUMN market.pool_history.resolver_fees IS 'Replayed: what trades earned the resolver';
COMMENT ON COLUMN market.pool_history.balance
    IS 'Replayed: lamports of the account, if only trades had moved any';
COMMENT ON COLUMN market.pool_history.price_yes IS 'trades.price_yes of the hour''s last trade';
COMMENT ON COLUMN market.pool_history.trades IS 'Number of trades up to the hour''s end';

CREATE TABLE market.wallet_hours (
    wallet BYTEA NOT NULL,
    market_id BYTEA NOT NULL,
    starts_at BIGINT NOT NULL,
    trades INTEGER NOT NULL,
    volume NUMERIC(20, 0) NOT NULL,
    realised_pnl NUMERIC(20, 0) NOT NULL,
    resolved INTEGER NOT NULL,
    resolved_right INTEGER NOT NULL,
    CONSTRAINT pk_wallet_hours PRIMARY KEY (wallet, market_id, starts_at),
    CONSTRAINT ck_wallet_hours_wallet CHECK (octet_length(wallet) = 32),
    CONSTRAINT ck_wallet_hours_starts_at CHECK (starts_at % 3600 = 0),
    CONSTRAINT ck_wallet_hours_trades CHECK (trades >= 0 AND volume >= 0),
    CONSTRAINT ck_wallet_hours_resolved CHECK (
        resolved BETWEEN 0 AND 1 AND resolved_right BETWEEN 0 AND resolved
    ),
    CONSTRAINT fk_wallet_hours_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE
);
CREATE INDEX ix_wallet_hours_market_id
    ON market.wallet_hours (market_id);
CREATE INDEX ix_wallet_hours_starts_at
    ON market.wallet_hours (starts_at);
COMMENT ON COLUMN market.wallet_hours.wallet IS 'positions.user';
COMMENT ON COLUMN market.wallet_hours.market_id IS 'Positions';
COMMENT ON COLUMN market.wallet_hours.starts_at
    IS 'Hour of the trade, the claim or the finalization, in chain seconds';
COMMENT ON COLUMN market.wallet_hours.trades IS 'Number of trades';
COMMENT ON COLUMN market.wallet_hours.volume IS 'Sum of trades.cost';
COMMENT ON COLUMN market.wallet_hours.realised_pnl
    IS 'Computed: profits of sales, of the claim and of the settlement';
COMMENT ON COLUMN market.wallet_hours.resolved
    IS 'markets.final_outcome and positions: 1 where a larger side won or lost';
COMMENT ON COLUMN market.wallet_hours.resolved_right IS 'The same: 1 where it won';

CREATE TABLE market.leaderboards (
    period TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    as_of BIGINT NOT NULL,
    valid_until BIGINT,
    CONSTRAINT pk_leaderboards PRIMARY KEY (period),
    CONSTRAINT ck_leaderboards_period CHECK (period IN ('day', 'week', 'all'))
);
COMMENT ON COLUMN market.leaderboards.period IS 'Configuration: day, week or all';
COMMENT ON COLUMN market.leaderboards.starts_at
    IS 'Chain clock: first second of the window; 0 for all time';
COMMENT ON COLUMN market.leaderboards.as_of
    IS 'Chain clock: when the entries were added up, in seconds';
COMMENT ON COLUMN market.leaderboards.valid_until
    IS 'Computed: when the oldest hour leaves the window, in chain seconds';

CREATE TABLE market.leaderboard_entries (
    period TEXT NOT NULL,
    wallet BYTEA NOT NULL,
    trades BIGINT NOT NULL,
    volume NUMERIC(20, 0) NOT NULL,
    profit NUMERIC(20, 0) NOT NULL,
    resolved BIGINT NOT NULL,
    resolved_right BIGINT NOT NULL,
    CONSTRAINT pk_leaderboard_entries PRIMARY KEY (period, wallet),
    CONSTRAINT fk_leaderboard_entries_period_leaderboards FOREIGN KEY(period)
        REFERENCES market.leaderboards (period) ON DELETE CASCADE
);
CREATE INDEX ix_leaderboard_entries_profit
    ON market.leaderboard_entries (period, profit, wallet) WHERE profit <> 0;
CREATE INDEX ix_leaderboard_entries_resolved_right
    ON market.leaderboard_entries (period, resolved_right, (resolved_right - resolved), wallet)
    WHERE resolved > 0;
CREATE INDEX ix_leaderboard_entries_volume
    ON market.leaderboard_entries (period, volume, wallet) WHERE volume > 0;
COMMENT ON COLUMN market.leaderboard_entries.period IS 'leaderboards.period';
COMMENT ON COLUMN market.leaderboard_entries.wallet IS 'wallet_hours.wallet';
COMMENT ON COLUMN market.leaderboard_entries.trades IS 'Sum of wallet_hours.trades';
COMMENT ON COLUMN market.leaderboard_entries.volume IS 'Sum of wallet_hours.volume';
COMMENT ON COLUMN market.leaderboard_entries.profit IS 'Sum of wallet_hours.realised_pnl';
COMMENT ON COLUMN market.leaderboard_entries.resolved IS 'Sum of wallet_hours.resolved';
COMMENT ON COLUMN market.leaderboard_entries.resolved_right IS 'Sum of wallet_hours.resolved_right';

CREATE TABLE market.leaderboard_queue (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    wallet BYTEA NOT NULL,
    CONSTRAINT pk_leaderboard_queue PRIMARY KEY (id)
);
COMMENT ON COLUMN market.leaderboard_queue.id IS 'Database: identity sequence';
COMMENT ON COLUMN market.leaderboard_queue.wallet IS 'wallet_hours.wallet';

-- Whoever changes a wallet's hours, a deleted market included, its sums are due.
CREATE FUNCTION market.enqueue_leaderboards() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO market.leaderboard_queue (wallet) SELECT DISTINCT wallet FROM changed;
    RETURN NULL;
END
$$;
CREATE TRIGGER enqueue_insert AFTER INSERT ON market.wallet_hours
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION market.enqueue_leaderboards();
CREATE TRIGGER enqueue_update AFTER UPDATE ON market.wallet_hours
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION market.enqueue_leaderboards();
CREATE TRIGGER enqueue_delete AFTER DELETE ON market.wallet_hours
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION market.enqueue_leaderboards();

-- What a wallet did, by wallet.
CREATE INDEX ix_trades_user_market_id ON market.trades ("user", market_id);
CREATE INDEX ix_markets_resolver ON market.markets (resolver) WHERE resolver IS NOT NULL;
CREATE INDEX ix_markets_dispute_initiator
    ON market.markets (dispute_initiator) WHERE dispute_initiator IS NOT NULL;

GRANT SELECT
    ON market.pool_history, market.wallet_hours, market.leaderboards, market.leaderboard_entries,
        market.leaderboard_queue
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE, DELETE
    ON market.pool_history, market.wallet_hours, market.leaderboards, market.leaderboard_entries
    TO zmart_pipelines;
GRANT INSERT, DELETE ON market.leaderboard_queue TO zmart_pipelines;

RESET ROLE;
