-- Pages of the feed of activity begin at a time.
SET ROLE zmart_owner;

CREATE INDEX ix_trades_traded_at ON market.trades (traded_at);

RESET ROLE;
