-- The monitor looks every thirty seconds for markets that do not move, and for what transactions cost.
SET LOCAL ROLE zmart_owner;

CREATE INDEX ix_markets_approved ON market.markets (approved_at) WHERE state = 1;
CREATE INDEX ix_listings_active ON market.listings (ends_at, created_at) WHERE state = 2;
CREATE INDEX ix_attempts_signed_at ON ops.attempts (signed_at);

RESET ROLE;
