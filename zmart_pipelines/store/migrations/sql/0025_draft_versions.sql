-- Each new draft is compared with the other versions of its draft, which no index covered whole.
SET LOCAL ROLE zmart_owner;
CREATE INDEX ix_market_drafts_draft_id ON community.market_drafts (draft_id);
RESET ROLE;
