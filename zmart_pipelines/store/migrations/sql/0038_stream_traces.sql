-- The trace in which a frame was written, so that the process that delivers it goes on with it.
SET LOCAL ROLE zmart_owner;

ALTER TABLE ops.stream ADD COLUMN traceparent TEXT;
COMMENT ON COLUMN ops.stream.traceparent
    IS 'Writer: W3C trace context of the write; null where nothing is traced';

RESET ROLE;
