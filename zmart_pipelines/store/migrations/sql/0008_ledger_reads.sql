-- Reads of the ledger by clients: the event feeds, a transaction with the times of its
-- commitments, and the slot that the chain had reached at a time.

SET LOCAL ROLE zmart_owner;

ALTER TABLE chain.transactions ADD COLUMN confirmed_at TIMESTAMPTZ;
COMMENT ON COLUMN chain.transactions.confirmed_at
    IS 'Database clock: when it was first known as confirmed or finalized; null in older rows';
GRANT UPDATE (confirmed_at) ON chain.transactions TO zmart_ingest;

CREATE INDEX ix_transactions_block_time_slot ON chain.transactions (block_time, slot);

-- The feed of a wallet, by the wallet that the event names first.
CREATE INDEX ix_events_wallet ON chain.events (
    coalesce(data ->> 'user', data ->> 'creator', data ->> 'resolver', data ->> 'initiator',
        data ->> 'approved_by', data ->> 'cancelled_by', data ->> 'paused_by', data ->> 'admin'),
    slot
) WHERE name IS NOT NULL;

-- The feed of all markets, restricted to events that may be rare.
CREATE INDEX ix_events_name_slot ON chain.events (name, slot);

RESET ROLE;
