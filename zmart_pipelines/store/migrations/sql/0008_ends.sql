-- Which questions of known markets are over by now.
SET LOCAL ROLE zmart_owner;

CREATE INDEX ix_market_drafts_ends
    ON community.market_drafts (ends_at) WHERE matched_at IS NOT NULL;

RESET ROLE;
