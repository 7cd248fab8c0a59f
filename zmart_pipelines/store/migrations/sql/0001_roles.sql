-- The roles (of the whole cluster, so they may be there already) and the schemas.
-- The login user may act as any of them, but has none of their rights by itself.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY
        ARRAY['zmart_owner', 'zmart_ingest', 'zmart_api', 'zmart_pipelines', 'zmart_read']
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this cluster made it just now
        END;
        IF NOT pg_has_role(current_user, name, 'SET') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER WITH SET TRUE, INHERIT FALSE', name);
        END IF;
    END LOOP;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO zmart_owner', current_database());
END
$$;

-- Dagster's own tables; it connects as the login user.
CREATE SCHEMA IF NOT EXISTS dagster;

GRANT SELECT ON public.schema_version
    TO zmart_owner, zmart_ingest, zmart_api, zmart_pipelines, zmart_read;

SET LOCAL ROLE zmart_owner;

CREATE SCHEMA chain;
CREATE SCHEMA market;
CREATE SCHEMA voting;
CREATE SCHEMA community;
CREATE SCHEMA ops;
