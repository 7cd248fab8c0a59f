-- Indexes on the time of each state transition, for the counts of states over the last days.

SET LOCAL ROLE zmart_owner;

CREATE INDEX ix_markets_approved_at ON market.markets (approved_at) WHERE approved_at > 0;
CREATE INDEX ix_markets_activated_at ON market.markets (activated_at) WHERE activated_at > 0;
CREATE INDEX ix_markets_resolution_proposed_at ON market.markets (resolution_proposed_at)
    WHERE resolution_proposed_at > 0;
CREATE INDEX ix_markets_dispute_initiated_at ON market.markets (dispute_initiated_at)
    WHERE dispute_initiated_at > 0;
CREATE INDEX ix_markets_finalized_at ON market.markets (finalized_at) WHERE finalized_at > 0;
CREATE INDEX ix_markets_cancelled_at ON market.markets (cancelled_at) WHERE cancelled_at > 0;

RESET ROLE;
