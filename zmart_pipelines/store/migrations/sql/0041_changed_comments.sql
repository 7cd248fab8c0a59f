-- A snapshot reads what changed in one market's discussion. The other indexes by market leave out
-- replies, so that it read every comment of all markets for each market.
SET LOCAL ROLE zmart_owner;

CREATE INDEX ix_discussions_changed ON community.discussions
    (market_id, greatest(created_at, edited_at, deleted_at, hidden_at, shown_at));

RESET ROLE;
