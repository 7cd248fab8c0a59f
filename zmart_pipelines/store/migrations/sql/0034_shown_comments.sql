-- When a hidden comment was shown again, so that the next snapshot of the discussion has it.
SET LOCAL ROLE zmart_owner;

ALTER TABLE community.discussions ADD COLUMN shown_at TIMESTAMPTZ;
COMMENT ON COLUMN community.discussions.shown_at
    IS 'Trigger: when an operator last showed the hidden comment again';

CREATE FUNCTION community.note_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.shown_at := NULL;
    ELSIF OLD.hidden_at IS NOT NULL AND NEW.hidden_at IS NULL THEN
        NEW.shown_at := now();
    ELSE
        NEW.shown_at := OLD.shown_at;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER note_shown BEFORE INSERT OR UPDATE ON community.discussions
    FOR EACH ROW EXECUTE FUNCTION community.note_shown();

RESET ROLE;
