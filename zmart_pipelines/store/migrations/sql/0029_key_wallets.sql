-- A key may belong to a wallet, whose private rows it then reads. Scopes are those that exist; others
-- have never permitted anything.
SET LOCAL ROLE zmart_owner;

ALTER TABLE ops.api_keys
    ADD COLUMN wallet BYTEA
        CONSTRAINT ck_api_keys_wallet CHECK (octet_length(wallet) = 32);
COMMENT ON COLUMN ops.api_keys.wallet
    IS 'Operator: the wallet that it belongs to; null for a service''s';

UPDATE ops.api_keys SET scopes = ARRAY(
    SELECT scope FROM unnest(scopes) AS scope
    WHERE scope IN ('operator', 'read', 'trade', 'unlimited') ORDER BY scope
);
ALTER TABLE ops.api_keys
    ADD CONSTRAINT ck_api_keys_scopes
        CHECK (scopes <@ ARRAY['operator', 'read', 'trade', 'unlimited']);

-- Such a key gets tickets of its wallet.
ALTER TABLE accounts.realtime_tickets
    DROP CONSTRAINT ck_realtime_tickets_session,
    DROP CONSTRAINT ck_realtime_tickets_holder,
    ADD CONSTRAINT ck_realtime_tickets_session CHECK (session IS NULL OR wallet IS NOT NULL),
    ADD CONSTRAINT ck_realtime_tickets_holder CHECK (
        wallet IS NOT NULL AND (session IS NOT NULL OR key_id IS NOT NULL)
        OR wallet IS NULL AND service IS NOT NULL AND is_operator
    );
COMMENT ON COLUMN accounts.realtime_tickets.wallet
    IS 'Request: the wallet that signed in, or that the key belongs to';

RESET ROLE;
