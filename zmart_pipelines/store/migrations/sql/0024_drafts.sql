-- Drafts that their owner replaces and withdraws, and documents that are evidence.
SET LOCAL ROLE zmart_owner;

-- A row is one version of a draft. A version that was replaced or withdrawn stays until it expires:
-- its market may still appear on chain, made by a transaction that was signed before.
ALTER TABLE community.market_drafts
    ADD COLUMN draft_id UUID DEFAULT gen_random_uuid() NOT NULL,
    ADD COLUMN b_parameter BIGINT,
    ADD COLUMN initial_liquidity BIGINT,
    ADD COLUMN evidence TEXT[] DEFAULT '{}' NOT NULL,
    ADD COLUMN replaced_at TIMESTAMPTZ,
    ADD COLUMN withdrawn_at TIMESTAMPTZ,
    ADD CONSTRAINT ck_market_drafts_evidence CHECK (cardinality(evidence) <= 10);
COMMENT ON COLUMN community.market_drafts.draft_id IS 'Database: random UUID of all its versions';
COMMENT ON COLUMN community.market_drafts.b_parameter
    IS 'Request: 9 decimals; null for drafts of before';
COMMENT ON COLUMN community.market_drafts.initial_liquidity
    IS 'Request: lamports; null for drafts of before';
COMMENT ON COLUMN community.market_drafts.evidence IS 'Request: CIDv0s of its documents';
COMMENT ON COLUMN community.market_drafts.replaced_at
    IS 'Database clock: when another version took its place';
COMMENT ON COLUMN community.market_drafts.withdrawn_at
    IS 'Database clock: when its creator deleted the draft';
CREATE UNIQUE INDEX uq_market_drafts_draft_id ON community.market_drafts (draft_id)
    WHERE replaced_at IS NULL;
CREATE INDEX ix_market_drafts_creator_created_at_market_id
    ON community.market_drafts (creator, created_at, market_id);
CREATE INDEX ix_market_drafts_question_hash ON community.market_drafts (question_hash);

GRANT UPDATE (replaced_at, withdrawn_at) ON community.market_drafts TO zmart_api;
CREATE POLICY update_own ON community.market_drafts FOR UPDATE TO zmart_api
    USING (creator = community.current_wallet() AND matched_at IS NULL);

CREATE OR REPLACE FUNCTION community.guard_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.matched_at IS NOT NULL THEN
            RAISE EXCEPTION 'the question of a market cannot be deleted'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (OLD.market_id, OLD.creator, OLD.nonce, OLD.question_hash, OLD.document, OLD.question,
            OLD.description, OLD.category, OLD.tags, OLD.ends_at, OLD.created_at, OLD.draft_id,
            OLD.b_parameter, OLD.initial_liquidity, OLD.evidence)
        IS DISTINCT FROM
        (NEW.market_id, NEW.creator, NEW.nonce, NEW.question_hash, NEW.document, NEW.question,
            NEW.description, NEW.category, NEW.tags, NEW.ends_at, NEW.created_at, NEW.draft_id,
            NEW.b_parameter, NEW.initial_liquidity, NEW.evidence)
    THEN
        RAISE EXCEPTION 'a market''s question is immutable'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.replaced_at IS NOT NULL AND NEW.replaced_at IS DISTINCT FROM OLD.replaced_at)
        OR (OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at)
    THEN
        RAISE EXCEPTION 'a draft is replaced and withdrawn for good'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

-- All versions of a draft are of one creator, whose rows another does not see.
CREATE FUNCTION community.guard_new_draft() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM community.market_drafts AS d
        WHERE d.draft_id = NEW.draft_id AND d.creator <> NEW.creator
    ) THEN
        RAISE EXCEPTION 'a draft has one creator'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard_new BEFORE INSERT ON community.market_drafts
    FOR EACH ROW EXECUTE FUNCTION community.guard_new_draft();

CREATE TABLE community.documents (
    wallet BYTEA NOT NULL
        CONSTRAINT ck_documents_wallet CHECK (octet_length(wallet) = 32),
    cid TEXT NOT NULL CONSTRAINT ck_documents_cid CHECK (char_length(cid) = 46),
    media_type TEXT NOT NULL
        CONSTRAINT ck_documents_media_type CHECK (
            media_type IN ('application/json', 'application/pdf', 'image/jpeg', 'image/png',
                'image/webp', 'text/plain')
        ),
    size INTEGER NOT NULL CONSTRAINT ck_documents_size CHECK (size BETWEEN 1 AND 262144),
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    CONSTRAINT pk_documents PRIMARY KEY (wallet, cid)
);
CREATE INDEX ix_documents_cid ON community.documents (cid);
CREATE INDEX ix_documents_created_at ON community.documents (created_at);
COMMENT ON COLUMN community.documents.wallet IS 'Request: wallet that the write was permitted to';
COMMENT ON COLUMN community.documents.cid IS 'Computed: CIDv0 of the bytes';
COMMENT ON COLUMN community.documents.media_type IS 'Request: what the bytes are';
COMMENT ON COLUMN community.documents.size IS 'Computed: number of bytes';
COMMENT ON COLUMN community.documents.created_at IS 'Database clock: when the row was inserted';
CREATE TRIGGER reject_change BEFORE UPDATE OR TRUNCATE ON community.documents
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

GRANT SELECT, INSERT ON community.documents TO zmart_api;
GRANT SELECT, DELETE ON community.documents TO zmart_pipelines;
ALTER TABLE community.documents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY read_own ON community.documents FOR SELECT TO zmart_api
    USING (wallet = community.current_wallet());
CREATE POLICY insert_own ON community.documents FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY system ON community.documents TO zmart_owner, zmart_pipelines USING (true);
CREATE POLICY backup ON community.documents FOR SELECT TO zmart_backup USING (true);

-- Whether any wallet uploaded the file: the system's own files are never a document's to unpin.
CREATE FUNCTION community.is_document(file TEXT) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT EXISTS (SELECT FROM community.documents AS d WHERE d.cid = file)
$$;

RESET ROLE;
