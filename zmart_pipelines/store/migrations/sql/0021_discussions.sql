-- Discussions: threads, edits, up-votes, reports, what operators hide, and the profiles of authors.
SET LOCAL ROLE zmart_owner;

-- What users say of themselves.
ALTER TABLE community.users
    ADD COLUMN name TEXT CONSTRAINT ck_users_name CHECK (char_length(name) BETWEEN 1 AND 50),
    ADD COLUMN bio TEXT CONSTRAINT ck_users_bio CHECK (char_length(bio) BETWEEN 1 AND 500),
    ADD COLUMN avatar_cid TEXT
        CONSTRAINT ck_users_avatar_cid CHECK (char_length(avatar_cid) = 46);
COMMENT ON COLUMN community.users.name IS 'Request: what the user is called; not unique';
COMMENT ON COLUMN community.users.bio IS 'Request: what the user says of himself';
COMMENT ON COLUMN community.users.avatar_cid IS 'Request: CIDv0 of the user''s picture';
GRANT UPDATE (name, bio, avatar_cid) ON community.users TO zmart_api;

-- A thread is a comment without a parent; its replies name it, whichever comment they answer.
ALTER TABLE community.discussions
    ADD COLUMN parent_id UUID,
    ADD COLUMN up_votes INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN replies INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN edited_at TIMESTAMPTZ,
    ADD COLUMN hidden_at TIMESTAMPTZ,
    ADD CONSTRAINT uq_discussions_id_market_id UNIQUE (id, market_id),
    ADD CONSTRAINT fk_discussions_parent_id_market_id_discussions FOREIGN KEY (parent_id, market_id)
        REFERENCES community.discussions (id, market_id),
    ADD CONSTRAINT ck_discussions_counts CHECK (up_votes >= 0 AND replies >= 0),
    ADD CONSTRAINT ck_discussions_reply CHECK (parent_id IS NULL OR replies = 0);
COMMENT ON COLUMN community.discussions.parent_id
    IS 'Request: the thread that is replied to; null for a thread';
COMMENT ON COLUMN community.discussions.up_votes IS 'Trigger: number of its rows in comment_votes';
COMMENT ON COLUMN community.discussions.replies
    IS 'Trigger: number of its replies that are neither deleted nor hidden';
COMMENT ON COLUMN community.discussions.edited_at
    IS 'Database clock: when the author last changed the text';
COMMENT ON COLUMN community.discussions.deleted_at
    IS 'Database clock: when the author deleted the comment';
COMMENT ON COLUMN community.discussions.hidden_at
    IS 'Database clock: when an operator hid the comment';
COMMENT ON COLUMN community.discussions.content
    IS 'Request: text of the comment; empty where it is deleted or hidden';
DROP INDEX community.ix_discussions_market_id_created_at_id;
CREATE INDEX ix_discussions_market_id_created_at_id
    ON community.discussions (market_id, created_at, id) WHERE parent_id IS NULL;
CREATE INDEX ix_discussions_market_id_up_votes_created_at_id
    ON community.discussions (market_id, up_votes, created_at, id) WHERE parent_id IS NULL;
CREATE INDEX ix_discussions_parent_id_created_at_id
    ON community.discussions (parent_id, created_at, id) WHERE parent_id IS NOT NULL;
CREATE INDEX ix_discussions_wallet_created_at_id
    ON community.discussions (wallet, created_at, id);

-- Texts that comments no longer show, so that nothing that reads comments can show them: what was
-- there before an edit, a deletion, or an operator's hiding.
CREATE TABLE community.former_texts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    comment_id UUID NOT NULL,
    content TEXT NOT NULL,
    replaced_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    CONSTRAINT pk_former_texts PRIMARY KEY (id),
    CONSTRAINT fk_former_texts_comment_id_discussions FOREIGN KEY (comment_id)
        REFERENCES community.discussions (id)
);
CREATE INDEX ix_former_texts_comment_id_id ON community.former_texts (comment_id, id);
COMMENT ON COLUMN community.former_texts.id IS 'Database: identity sequence';
COMMENT ON COLUMN community.former_texts.comment_id IS 'Trigger: whose text it was';
COMMENT ON COLUMN community.former_texts.content IS 'Trigger: the text until then';
COMMENT ON COLUMN community.former_texts.replaced_at
    IS 'Database clock: when it was edited, deleted or hidden';
CREATE TRIGGER reject_change BEFORE UPDATE OR DELETE OR TRUNCATE ON community.former_texts
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();
ALTER TABLE community.former_texts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- The triggers write it as the owner. Operators read what they have hidden.
GRANT SELECT ON community.former_texts TO zmart_api;
CREATE POLICY read_as_operator ON community.former_texts FOR SELECT TO zmart_api
    USING (ops.is_operator());
CREATE POLICY system ON community.former_texts TO zmart_owner USING (true);
CREATE POLICY backup ON community.former_texts FOR SELECT TO zmart_backup USING (true);

CREATE TABLE community.comment_votes (
    comment_id UUID NOT NULL,
    wallet BYTEA NOT NULL
        CONSTRAINT ck_comment_votes_wallet CHECK (octet_length(wallet) = 32),
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    CONSTRAINT pk_comment_votes PRIMARY KEY (comment_id, wallet),
    CONSTRAINT fk_comment_votes_comment_id_discussions FOREIGN KEY (comment_id)
        REFERENCES community.discussions (id)
);
COMMENT ON COLUMN community.comment_votes.comment_id IS 'Request: the comment that is up-voted';
COMMENT ON COLUMN community.comment_votes.wallet
    IS 'Request: wallet that the write was permitted to';
COMMENT ON COLUMN community.comment_votes.created_at
    IS 'Database clock: when the row was inserted';
ALTER TABLE community.comment_votes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- Counts are public; who voted is known to the voter alone.
GRANT SELECT, INSERT, DELETE ON community.comment_votes TO zmart_api;
CREATE POLICY own ON community.comment_votes TO zmart_api
    USING (wallet = community.current_wallet())
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY system ON community.comment_votes TO zmart_owner USING (true);
CREATE POLICY backup ON community.comment_votes FOR SELECT TO zmart_backup USING (true);

CREATE TABLE community.comment_reports (
    comment_id UUID NOT NULL,
    wallet BYTEA NOT NULL
        CONSTRAINT ck_comment_reports_wallet CHECK (octet_length(wallet) = 32),
    reason TEXT NOT NULL
        CONSTRAINT ck_comment_reports_reason CHECK (
            reason IN ('spam', 'scam', 'abuse', 'off_topic', 'other')
        ),
    note TEXT DEFAULT '' NOT NULL
        CONSTRAINT ck_comment_reports_note CHECK (char_length(note) <= 500),
    created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    CONSTRAINT pk_comment_reports PRIMARY KEY (comment_id, wallet),
    CONSTRAINT fk_comment_reports_comment_id_discussions FOREIGN KEY (comment_id)
        REFERENCES community.discussions (id)
);
CREATE INDEX ix_comment_reports_created_at_comment_id_wallet
    ON community.comment_reports (created_at, comment_id, wallet);
COMMENT ON COLUMN community.comment_reports.comment_id IS 'Request: the comment that is reported';
COMMENT ON COLUMN community.comment_reports.wallet
    IS 'Request: wallet that the write was permitted to';
COMMENT ON COLUMN community.comment_reports.reason IS 'Request: what is wrong with the comment';
COMMENT ON COLUMN community.comment_reports.note IS 'Request: more about it; may be empty';
COMMENT ON COLUMN community.comment_reports.created_at
    IS 'Database clock: when the row was inserted';
CREATE TRIGGER reject_change BEFORE UPDATE OR DELETE OR TRUNCATE ON community.comment_reports
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();
ALTER TABLE community.comment_reports ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- A report is seen by its sender and by operators.
GRANT SELECT, INSERT ON community.comment_reports TO zmart_api;
CREATE POLICY read_own_or_as_operator ON community.comment_reports FOR SELECT TO zmart_api
    USING (wallet = community.current_wallet() OR ops.is_operator());
CREATE POLICY insert_own ON community.comment_reports FOR INSERT TO zmart_api
    WITH CHECK (wallet = community.current_wallet());
CREATE POLICY system ON community.comment_reports TO zmart_owner USING (true);
CREATE POLICY backup ON community.comment_reports FOR SELECT TO zmart_backup USING (true);

-- The texts of comments that were deleted before leave their rows.
ALTER TABLE community.discussions DISABLE TRIGGER guard;
INSERT INTO community.former_texts (comment_id, content, replaced_at)
SELECT id, content, deleted_at FROM community.discussions WHERE deleted_at IS NOT NULL
ORDER BY deleted_at, id;
ALTER TABLE community.discussions DROP CONSTRAINT ck_discussions_content;
UPDATE community.discussions SET content = '' WHERE deleted_at IS NOT NULL;
ALTER TABLE community.discussions
    ADD CONSTRAINT ck_discussions_content CHECK (char_length(content) <= 1000),
    ADD CONSTRAINT ck_discussions_withdrawn CHECK (
        (content = '') = (deleted_at IS NOT NULL OR hidden_at IS NOT NULL)
    );
ALTER TABLE community.discussions ENABLE TRIGGER guard;

-- For how long an author may change the text.
CREATE FUNCTION community.edit_period() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT interval '5 minutes' $$;

-- A new comment has no votes and no replies. A reply is in the market of its thread, and the thread
-- is neither a reply itself nor deleted or hidden; a deletion at the same time waits or is seen.
CREATE FUNCTION community.guard_new_discussion() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF (NEW.up_votes, NEW.replies) <> (0, 0)
        OR num_nonnulls(NEW.edited_at, NEW.deleted_at, NEW.hidden_at) > 0
    THEN
        RAISE EXCEPTION 'a new comment has no history'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.parent_id IS NOT NULL THEN
        UPDATE community.discussions SET replies = replies + 1
        WHERE id = NEW.parent_id AND market_id = NEW.market_id AND parent_id IS NULL
            AND deleted_at IS NULL AND hidden_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'a reply needs a thread of its market that is shown'
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard_new BEFORE INSERT ON community.discussions
    FOR EACH ROW EXECUTE FUNCTION community.guard_new_discussion();

-- The author edits for a while and deletes for good; an operator hides and shows. The text of a
-- deleted or hidden comment is only in community.former_texts.
CREATE OR REPLACE FUNCTION community.guard_discussion() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    was_shown boolean := OLD.deleted_at IS NULL AND OLD.hidden_at IS NULL;
    is_shown boolean := NEW.deleted_at IS NULL AND NEW.hidden_at IS NULL;
BEGIN
    IF (OLD.id, OLD.market_id, OLD.parent_id, OLD.wallet, OLD.signature, OLD.created_at)
        IS DISTINCT FROM
        (NEW.id, NEW.market_id, NEW.parent_id, NEW.wallet, NEW.signature, NEW.created_at)
        OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS DISTINCT FROM OLD.deleted_at)
    THEN
        RAISE EXCEPTION 'a comment is immutable but for its text, and deleted for good'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.content, OLD.deleted_at) IS DISTINCT FROM (NEW.content, NEW.deleted_at)
        AND OLD.wallet IS DISTINCT FROM community.current_wallet()
    THEN
        RAISE EXCEPTION 'only its author edits or deletes a comment'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.hidden_at IS DISTINCT FROM NEW.hidden_at AND NOT ops.is_operator() THEN
        RAISE EXCEPTION 'only operators hide and show comments'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.up_votes, OLD.replies) <> (NEW.up_votes, NEW.replies) AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'votes and replies are counted by triggers'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.edited_at := OLD.edited_at;
    IF was_shown AND is_shown AND NEW.content <> OLD.content THEN
        IF now() > OLD.created_at + community.edit_period() THEN
            RAISE EXCEPTION 'a comment can be edited for %', community.edit_period()
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        INSERT INTO community.former_texts (comment_id, content) VALUES (OLD.id, OLD.content);
        NEW.edited_at := now();
    ELSIF was_shown AND NOT is_shown THEN
        INSERT INTO community.former_texts (comment_id, content) VALUES (OLD.id, OLD.content);
        NEW.content := '';
    ELSIF is_shown AND NOT was_shown THEN
        SELECT t.content INTO STRICT NEW.content FROM community.former_texts AS t
        WHERE t.comment_id = OLD.id ORDER BY t.id DESC LIMIT 1;
    END IF;
    IF was_shown <> is_shown AND NEW.parent_id IS NOT NULL THEN
        UPDATE community.discussions
        SET replies = replies + CASE WHEN is_shown THEN 1 ELSE -1 END WHERE id = NEW.parent_id;
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION community.count_comment_vote() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE community.discussions SET up_votes = up_votes - 1 WHERE id = OLD.comment_id;
        RETURN NULL;
    END IF;
    UPDATE community.discussions SET up_votes = up_votes + 1
    WHERE id = NEW.comment_id AND deleted_at IS NULL AND hidden_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a vote needs a comment that is shown'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count AFTER INSERT OR DELETE ON community.comment_votes
    FOR EACH ROW EXECUTE FUNCTION community.count_comment_vote();
CREATE TRIGGER reject_change BEFORE UPDATE OR TRUNCATE ON community.comment_votes
    FOR EACH STATEMENT EXECUTE FUNCTION chain.reject_change();

-- The API states what users and operators state, the triggers above all else.
REVOKE INSERT ON community.discussions FROM zmart_api;
GRANT INSERT (market_id, parent_id, wallet, content, signature) ON community.discussions
    TO zmart_api;
GRANT UPDATE (content, hidden_at) ON community.discussions TO zmart_api;
CREATE POLICY update_as_operator ON community.discussions FOR UPDATE TO zmart_api
    USING (ops.is_operator());

-- What signed texts permit.
ALTER TABLE community.signed_requests DROP CONSTRAINT ck_signed_requests_action;
ALTER TABLE community.signed_requests ADD CONSTRAINT ck_signed_requests_action CHECK (
    action IN ('comment', 'edit-comment', 'delete-comment', 'vote-comment', 'unvote-comment',
        'report-comment', 'profile', 'draft', 'replace-draft', 'delete-draft', 'document',
        'ballot')
);

RESET ROLE;
