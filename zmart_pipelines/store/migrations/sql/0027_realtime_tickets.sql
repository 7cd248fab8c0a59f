-- Tickets by which a socket signs in: each is good once and for seconds. The API's login for users'
-- requests adds them, as the wallet or the operator that asks, and takes them by their hash alone.
SET LOCAL ROLE zmart_owner;

CREATE TABLE accounts.realtime_tickets (
    hash BYTEA NOT NULL
        CONSTRAINT ck_realtime_tickets_hash CHECK (octet_length(hash) = 32),
    wallet BYTEA
        CONSTRAINT ck_realtime_tickets_wallet CHECK (octet_length(wallet) = 32),
    session UUID,
    service TEXT,
    key_id BIGINT,
    is_operator BOOLEAN NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_realtime_tickets PRIMARY KEY (hash),
    CONSTRAINT ck_realtime_tickets_session CHECK ((wallet IS NULL) = (session IS NULL)),
    CONSTRAINT ck_realtime_tickets_key CHECK (key_id IS NULL OR service IS NOT NULL),
    -- A service alone has nothing to see but what operators see.
    CONSTRAINT ck_realtime_tickets_holder
        CHECK (wallet IS NOT NULL OR service IS NOT NULL AND is_operator)
);
CREATE INDEX ix_realtime_tickets_expires_at ON accounts.realtime_tickets (expires_at);
COMMENT ON COLUMN accounts.realtime_tickets.hash IS 'Ticket: its SHA-256';
COMMENT ON COLUMN accounts.realtime_tickets.wallet IS 'Request: the wallet that signed in';
COMMENT ON COLUMN accounts.realtime_tickets.session IS 'Request: the wallet''s session';
COMMENT ON COLUMN accounts.realtime_tickets.service
    IS 'Request: name of the service whose key it carried';
COMMENT ON COLUMN accounts.realtime_tickets.key_id
    IS 'Request: that key; null also for the key of the settings';
COMMENT ON COLUMN accounts.realtime_tickets.is_operator
    IS 'API: whether operators'' acts were permitted';
COMMENT ON COLUMN accounts.realtime_tickets.expires_at
    IS 'Database clock plus the ticket''s lifetime';

-- Whoever knows a ticket may use it up, once; the secret is the permission. It is deleted whatever
-- becomes of it, and is good for nothing where its session or its key has ended meanwhile.
CREATE FUNCTION accounts.redeem_ticket(ticket BYTEA)
RETURNS TABLE (
    wallet BYTEA, session UUID, service TEXT, key_id BIGINT, is_operator BOOLEAN
)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH taken AS (
        DELETE FROM accounts.realtime_tickets AS t WHERE t.hash = ticket RETURNING t.*
    )
    SELECT taken.wallet, taken.session, taken.service, taken.key_id, taken.is_operator
    FROM taken
    WHERE taken.expires_at > now()
        AND (taken.session IS NULL OR EXISTS (
            SELECT FROM accounts.sessions AS s
            WHERE s.id = taken.session AND s.ended_at IS NULL AND s.expires_at > now()
        ))
        AND (taken.key_id IS NULL OR EXISTS (
            SELECT FROM ops.api_keys AS k WHERE k.id = taken.key_id AND k.revoked_at IS NULL
        ))
$$;
REVOKE ALL ON FUNCTION accounts.redeem_ticket FROM PUBLIC;

-- Which of these sessions still last, whoever's they are: sockets that were signed in by the others
-- are signed out. It gives nothing but ids that the caller knows.
CREATE FUNCTION accounts.live_sessions_among(ids UUID[]) RETURNS SETOF UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT id FROM accounts.sessions
    WHERE id = ANY(ids) AND ended_at IS NULL AND expires_at > now()
$$;
REVOKE ALL ON FUNCTION accounts.live_sessions_among FROM PUBLIC;

GRANT EXECUTE ON FUNCTION accounts.redeem_ticket, accounts.live_sessions_among TO zmart_api;
GRANT INSERT ON accounts.realtime_tickets TO zmart_api;
GRANT SELECT, DELETE ON accounts.realtime_tickets TO zmart_pipelines;

ALTER TABLE accounts.realtime_tickets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY insert_own ON accounts.realtime_tickets FOR INSERT TO zmart_api
    WITH CHECK (
        (wallet IS NULL OR wallet = community.current_wallet())
        AND (NOT is_operator OR ops.is_operator())
    );
CREATE POLICY system ON accounts.realtime_tickets TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY backup ON accounts.realtime_tickets FOR SELECT TO zmart_backup USING (true);

RESET ROLE;
