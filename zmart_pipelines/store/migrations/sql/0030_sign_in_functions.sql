-- Signing in, one round trip for each step: a function names the wallet that row-level security
-- compares, for its transaction, and then runs one statement with the rights of its caller.
SET LOCAL ROLE zmart_owner;

CREATE FUNCTION accounts.add_nonce(
    of_wallet BYTEA, new_nonce TEXT, page TEXT, issued TIMESTAMPTZ, expires TIMESTAMPTZ
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('app.wallet', encode(of_wallet, 'hex'), true);
    INSERT INTO accounts.nonces (nonce, wallet, origin, issued_at, expires_at)
    VALUES (new_nonce, of_wallet, page, issued, expires);
END
$$;

-- One that was given to another wallet is not found, and stays.
CREATE FUNCTION accounts.take_nonce(of_wallet BYTEA, signed_nonce TEXT)
RETURNS SETOF accounts.nonces
LANGUAGE plpgsql ROWS 1 SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('app.wallet', encode(of_wallet, 'hex'), true);
    RETURN QUERY DELETE FROM accounts.nonces AS n WHERE n.nonce = signed_nonce RETURNING n.*;
END
$$;

CREATE FUNCTION accounts.start_session(
    of_wallet BYTEA,
    new_csrf TEXT,
    client TEXT,
    client_address TEXT,
    token_hash BYTEA,
    session_lifetime INTERVAL,
    token_lifetime INTERVAL
) RETURNS TABLE (id UUID, expires_at TIMESTAMPTZ, refresh_expires_at TIMESTAMPTZ)
LANGUAGE plpgsql ROWS 1 SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('app.wallet', encode(of_wallet, 'hex'), true);
    id := gen_random_uuid();
    expires_at := now() + session_lifetime;
    refresh_expires_at := LEAST(now() + token_lifetime, expires_at);
    INSERT INTO accounts.sessions (id, wallet, csrf, user_agent, address, expires_at)
    VALUES (id, of_wallet, new_csrf, client, client_address, expires_at);
    INSERT INTO accounts.refresh_tokens (hash, session, wallet, expires_at)
    VALUES (token_hash, id, of_wallet, refresh_expires_at);
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION accounts.add_nonce, accounts.take_nonce, accounts.start_session
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION accounts.add_nonce, accounts.take_nonce, accounts.start_session
    TO zmart_api;

RESET ROLE;
