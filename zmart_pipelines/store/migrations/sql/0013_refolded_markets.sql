-- Trades are only ever appended between two refolds of a market. What was computed from its first
-- trades stays right while the market was not refolded since, so only the newer ones are added.
SET LOCAL ROLE zmart_owner;

ALTER TABLE market.markets ADD COLUMN refolded_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN market.markets.refolded_at IS
    'Database clock: when the market was last folded from its first event';

ALTER TABLE market.market_statistics ADD COLUMN market_refolded_at timestamptz;
COMMENT ON COLUMN market.market_statistics.market_refolded_at IS
    'markets.refolded_at of the row that the statistics were computed from';

CREATE INDEX ix_trades_market_id_traded_at ON market.trades (market_id, traded_at);

RESET ROLE;
