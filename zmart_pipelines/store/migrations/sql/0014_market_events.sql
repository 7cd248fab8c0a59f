-- The feed of a market, restricted to events that are rare in it. Purchases never are.

SET LOCAL ROLE zmart_owner;

CREATE INDEX ix_events_market_name ON chain.events (market_id, name, slot)
    WHERE name <> 'SharesBought';

RESET ROLE;
