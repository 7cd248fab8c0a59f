-- What pandas makes of trades and positions. The pipelines write it, everyone reads it; it
-- goes with its market.
SET LOCAL ROLE zmart_owner;

CREATE TABLE market.candles (
    market_id BYTEA NOT NULL,
    "interval" TEXT NOT NULL
        CONSTRAINT ck_candles_interval CHECK ("interval" IN ('1m', '5m', '1h', '1d')),
    starts_at BIGINT NOT NULL,
    open BIGINT NOT NULL,
    high BIGINT NOT NULL,
    low BIGINT NOT NULL,
    close BIGINT NOT NULL,
    volume NUMERIC(20, 0) NOT NULL,
    trades INTEGER NOT NULL,
    CONSTRAINT pk_candles PRIMARY KEY (market_id, "interval", starts_at),
    CONSTRAINT fk_candles_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE,
    CONSTRAINT ck_candles_starts_at CHECK (
        starts_at % (CASE "interval" WHEN '1m' THEN 60 WHEN '5m' THEN 300
            WHEN '1h' THEN 3600 ELSE 86400 END) = 0
    ),
    CONSTRAINT ck_candles_prices CHECK (
        0 <= low AND low <= open AND low <= close AND open <= high AND close <= high
        AND high <= 1000000000
    ),
    CONSTRAINT ck_candles_volume CHECK (volume >= 0 AND trades > 0)
);

CREATE TABLE market.market_statistics (
    market_id BYTEA NOT NULL,
    total_trades INTEGER NOT NULL,
    unique_traders INTEGER NOT NULL,
    total_volume NUMERIC(20, 0) NOT NULL,
    buy_volume NUMERIC(20, 0) NOT NULL,
    sell_volume NUMERIC(20, 0) NOT NULL,
    volume_last_day NUMERIC(20, 0) NOT NULL,
    price_yes BIGINT NOT NULL,
    price_day_ago BIGINT NOT NULL,
    price_change_bps BIGINT,
    last_trade_at BIGINT,
    as_of BIGINT NOT NULL,
    valid_until BIGINT,
    market_updated_at timestamptz NOT NULL,
    CONSTRAINT pk_market_statistics PRIMARY KEY (market_id),
    CONSTRAINT fk_market_statistics_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE,
    CONSTRAINT ck_market_statistics_volume CHECK (total_volume = buy_volume + sell_volume),
    CONSTRAINT ck_market_statistics_volumes CHECK (
        buy_volume >= 0 AND sell_volume >= 0 AND volume_last_day BETWEEN 0 AND total_volume
    ),
    CONSTRAINT ck_market_statistics_trades CHECK (
        unique_traders BETWEEN 0 AND total_trades
        AND (total_trades = 0) = (last_trade_at IS NULL)
    ),
    CONSTRAINT ck_market_statistics_valid_until CHECK (valid_until > as_of)
);

CREATE TABLE market.wallet_statistics (
    wallet BYTEA NOT NULL,
    market_id BYTEA NOT NULL,
    trades INTEGER NOT NULL,
    volume NUMERIC(20, 0) NOT NULL,
    invested NUMERIC(20, 0) NOT NULL,
    proceeds NUMERIC(20, 0) NOT NULL,
    claimed NUMERIC(20, 0) NOT NULL,
    open_value NUMERIC(20, 0) NOT NULL,
    settled BOOLEAN NOT NULL,
    realised_pnl NUMERIC(20, 0) NOT NULL,
    CONSTRAINT pk_wallet_statistics PRIMARY KEY (wallet, market_id),
    CONSTRAINT fk_wallet_statistics_market_id_markets FOREIGN KEY(market_id)
        REFERENCES market.markets (market_id) ON DELETE CASCADE,
    CONSTRAINT ck_wallet_statistics_wallet CHECK (octet_length(wallet) = 32),
    CONSTRAINT ck_wallet_statistics_amounts CHECK (
        trades >= 0 AND volume >= 0 AND invested >= 0 AND proceeds >= 0 AND claimed >= 0
        AND open_value >= 0
    ),
    CONSTRAINT ck_wallet_statistics_settled CHECK (NOT settled OR open_value = 0),
    CONSTRAINT ck_wallet_statistics_realised_pnl CHECK (
        realised_pnl = CASE WHEN settled THEN proceeds + claimed - invested ELSE 0 END
    )
);
CREATE INDEX ix_wallet_statistics_market_id ON market.wallet_statistics (market_id);

GRANT SELECT ON market.candles, market.market_statistics, market.wallet_statistics
    TO zmart_ingest, zmart_api, zmart_pipelines, zmart_read;
GRANT INSERT, UPDATE, DELETE
    ON market.candles, market.market_statistics, market.wallet_statistics TO zmart_pipelines;

RESET ROLE;
