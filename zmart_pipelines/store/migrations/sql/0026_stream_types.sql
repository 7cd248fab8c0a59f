-- The frames of one type of a channel are a channel too, with a chain of its own.
SET LOCAL ROLE zmart_owner;

ALTER TABLE ops.stream ADD COLUMN type_previous BIGINT;
-- Frames before the oldest stored one of a type may have been deleted. It names the frame before it
-- on the whole channel, so that a client that has not seen that one receives a reset.
UPDATE ops.stream AS s
SET type_previous = chained.type_previous
FROM (
    SELECT
        position,
        coalesce(lag(position) OVER (PARTITION BY channel, type ORDER BY position), previous)
            AS type_previous
    FROM ops.stream
) AS chained
WHERE s.position = chained.position;
ALTER TABLE ops.stream ALTER COLUMN type_previous SET NOT NULL;
COMMENT ON COLUMN ops.stream.type_previous
    IS 'Database: position before it on the same channel with the same type; 0 for the first';
CREATE INDEX ix_stream_channel_type_position ON ops.stream (channel, type, position);

RESET ROLE;
