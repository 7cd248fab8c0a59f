-- Webhook entries that could not be read, counted with their delivery.
SET LOCAL ROLE zmart_owner;

ALTER TABLE chain.deliveries
    ADD COLUMN unreadable_count INTEGER DEFAULT '0' NOT NULL,
    ADD COLUMN unreadable JSONB;
CREATE INDEX ix_deliveries_received_at ON chain.deliveries (received_at)
    WHERE unreadable_count > 0;
COMMENT ON COLUMN chain.deliveries.unreadable_count
    IS 'Computed: entries of body that could not be read';
COMMENT ON COLUMN chain.deliveries.unreadable
    IS 'Computed: position in body and reason of the first of these entries';

RESET ROLE;
