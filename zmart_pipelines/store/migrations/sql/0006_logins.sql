-- Each role is a login of its own. Two roles are new: one for Dagster's own tables, one for
-- backups. Passwords are set by zmart migrate, because a migration must not contain any.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['zmart_dagster', 'zmart_backup']
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this cluster made it just now
        END;
    END LOOP;
END
$$;

-- Dagster's tables belonged to the login that migrates. Whoever gives a table away must be able
-- to act as its new owner, which is undone at the end.
GRANT USAGE, CREATE ON SCHEMA dagster TO zmart_dagster;
DO $$
DECLARE
    found regclass;
    lent boolean := false;
BEGIN
    FOR found IN
        SELECT c.oid::regclass FROM pg_class AS c
        WHERE c.relnamespace = 'dagster'::regnamespace AND c.relkind IN ('r', 'p', 'v')
            AND pg_get_userbyid(c.relowner) <> 'zmart_dagster'
    LOOP
        IF NOT lent AND NOT pg_has_role(current_user, 'zmart_dagster', 'SET') THEN
            EXECUTE 'GRANT zmart_dagster TO CURRENT_USER WITH SET TRUE, INHERIT FALSE';
            lent := true;
        END IF;
        EXECUTE format('ALTER TABLE %s OWNER TO zmart_dagster', found);
    END LOOP;
    IF lent THEN
        EXECUTE 'REVOKE zmart_dagster FROM CURRENT_USER GRANTED BY CURRENT_USER';
    END IF;
END
$$;

-- A backup reads everything that exists only here, also rows under row-level security, and the
-- tables of later migrations.
GRANT SELECT ON public.schema_version TO zmart_backup;
SET LOCAL ROLE zmart_owner;
GRANT USAGE ON SCHEMA chain, market, voting, community, ops TO zmart_backup;
GRANT SELECT ON ALL TABLES IN SCHEMA chain, market, voting, community, ops TO zmart_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA chain, market, voting, community, ops TO zmart_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA chain, market, voting, community, ops
    GRANT SELECT ON TABLES TO zmart_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA chain, market, voting, community, ops
    GRANT SELECT ON SEQUENCES TO zmart_backup;
CREATE POLICY backup ON community.users FOR SELECT TO zmart_backup USING (true);
CREATE POLICY backup ON community.market_drafts FOR SELECT TO zmart_backup USING (true);
CREATE POLICY backup ON community.signed_requests FOR SELECT TO zmart_backup USING (true);
CREATE POLICY backup ON community.discussions FOR SELECT TO zmart_backup USING (true);
CREATE POLICY backup ON voting.ballots FOR SELECT TO zmart_backup USING (true);
RESET ROLE;
