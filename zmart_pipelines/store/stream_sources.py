"""Read the stream by source: a channel, or the frames of one type of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from zmart_pipelines.store.stream import StoredFrame


class Source(msgspec.Struct, frozen=True):
    """The frames of one channel, or those of one type of it.

    Attributes:
        type: None for all types.
    """

    channel: str
    type: str | None = None

    def previous(self, frame: StoredFrame) -> int:
        """Return the position before ``frame``, one of this source's (0: none)."""
        return frame.previous if self.type is None else frame.type_previous


# Two branches, so that each has an index in the order of positions.
_FOUND: Final = """
WITH sources AS MATERIALIZED (
    SELECT channel, type
    FROM unnest(CAST(:channels AS text[]), CAST(:types AS text[])) AS s (channel, type)
), found AS (
    SELECT of_channel.position
    FROM sources AS s
    CROSS JOIN LATERAL (
        SELECT f.position FROM ops.stream AS f
        WHERE f.channel = s.channel AND f.position > :after AND f.position <= :last
        ORDER BY f.position LIMIT :limit
    ) AS of_channel
    WHERE s.type IS NULL
    UNION
    SELECT of_type.position
    FROM sources AS s
    CROSS JOIN LATERAL (
        SELECT f.position FROM ops.stream AS f
        WHERE f.channel = s.channel AND f.type = s.type
            AND f.position > :after AND f.position <= :last
        ORDER BY f.position LIMIT :limit
    ) AS of_type
    WHERE s.type IS NOT NULL
)
"""
_READ: Final = text(
    _FOUND  # noqa: S608 - constants of this module
    + """
SELECT position, channel, previous, type_previous, type, payload, created_at
FROM (SELECT position FROM found ORDER BY position LIMIT :limit) AS page
JOIN ops.stream USING (position)
ORDER BY position
"""
)
_COUNT: Final = text(
    _FOUND + "SELECT least(count(*), :limit) FROM found"  # noqa: S608 - likewise
)
_HEADS: Final = text("""
SELECT coalesce(
    CASE WHEN s.type IS NULL
        THEN (SELECT max(f.position) FROM ops.stream AS f WHERE f.channel = s.channel)
        ELSE (SELECT max(f.position) FROM ops.stream AS f
            WHERE f.channel = s.channel AND f.type = s.type)
    END, 0)
FROM unnest(CAST(:channels AS text[]), CAST(:types AS text[])) WITH ORDINALITY
    AS s (channel, type, number)
ORDER BY s.number
""")
MAX_POSITION: Final = 2**63 - 1


def read(
    conn: Connection,
    sources: Sequence[Source],
    after: int,
    last: int = MAX_POSITION,
    limit: int = 1000,
) -> list[StoredFrame]:
    """Return the frames that belong to any of ``sources``, each once, oldest first.

    Args:
        conn: The transaction.
        sources: Whose frames.
        after: The position after which to begin.
        last: The last position to return.
        limit: Maximum number of frames.
    """
    rows = conn.execute(_READ, _range(sources, after, last, limit))
    return [StoredFrame(*row) for row in rows]


def count(
    conn: Connection, sources: Sequence[Source], after: int, last: int = MAX_POSITION, *, limit: int
) -> int:
    """Return how many frames ``read`` would return."""
    return int(conn.execute(_COUNT, _range(sources, after, last, limit)).scalar_one())


def heads(conn: Connection, sources: Sequence[Source]) -> list[int]:
    """Return the last position of each source (0: none), in their order."""
    return list(conn.execute(_HEADS, _arrays(sources)).scalars())


def _range(sources: Sequence[Source], after: int, last: int, limit: int) -> dict[str, object]:
    return _arrays(sources) | {"after": after, "last": last, "limit": limit}


def _arrays(sources: Sequence[Source]) -> dict[str, object]:
    return {
        "channels": [source.channel for source in sources],
        "types": [source.type for source in sources],
    }
