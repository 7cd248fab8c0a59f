"""Snapshots of discussions: what they must contain, and the rows that name their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import Connection, LargeBinary, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import TIMESTAMP

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.snapshots import ipfs_anchors

_anchors = ipfs_anchors
_BATCH: Final = 200
# Characters of an error that are kept.
_MOST_ERROR: Final = 500


class ChangedComment(msgspec.Struct, frozen=True):
    """A comment as it is now; ``content`` is empty where it is deleted or hidden."""

    id: UUID
    parent_id: UUID | None
    wallet: bytes
    content: str
    signature: bytes | None
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    hidden_at: datetime | None


class LastSnapshot(msgspec.Struct, frozen=True):
    """The end of a market's last snapshot, and the CID of its last part."""

    period_end: datetime
    cid: str


class Anchor(msgspec.Struct, frozen=True):
    """A pinned part of a snapshot, without its bytes."""

    market_id: bytes
    day: date
    part: int
    parts: int
    cid: str
    comments: int
    period_start: datetime | None
    period_end: datetime
    pinned_at: datetime | None


class StoredDocument(msgspec.Struct, frozen=True):
    """A part of a snapshot with its bytes."""

    market_id: bytes
    day: date
    part: int
    cid: str
    document: bytes


class PinFacts(msgspec.Struct, frozen=True):
    """What of the snapshots is pinned and what waits.

    Attributes:
        newest_cid: Of the part that was pinned last; None before the first.
        last_pin_at: When that was.
        waiting: Parts that are not pinned yet.
        waiting_since: When the oldest of them was stored.
    """

    newest_cid: str | None
    last_pin_at: datetime | None
    waiting: int
    waiting_since: datetime | None


class FailedPins(msgspec.Struct, frozen=True):
    """Files that still wait after several failures, and the reason of one of them."""

    files: int = 0
    error: str | None = None


# When a comment last changed.
_CHANGED: Final = "greatest(d.created_at, d.edited_at, d.deleted_at, d.hidden_at, d.shown_at)"
_DUE: Final = text(
    f"""
WITH last AS (
    SELECT market_id, max(period_end) AS ended FROM community.ipfs_anchors GROUP BY market_id
)
SELECT DISTINCT d.market_id FROM community.discussions AS d LEFT JOIN last USING (market_id)
WHERE d.created_at < :until AND coalesce(last.ended, '-infinity') < :until
    AND {_CHANGED} >= coalesce(last.ended, '-infinity')
ORDER BY d.market_id
"""  # noqa: S608 - constants of this module
).bindparams(bindparam("until", type_=TIMESTAMP(timezone=True)))
_CHANGES: Final = text(
    f"""
SELECT id, parent_id, wallet, content, signature, created_at, edited_at, deleted_at, hidden_at
FROM community.discussions AS d
WHERE d.market_id = :market AND d.created_at < :until
    AND {_CHANGED} >= coalesce(:since, '-infinity')
ORDER BY d.created_at, d.id
"""  # noqa: S608 - likewise
).bindparams(
    bindparam("market", type_=LargeBinary),
    bindparam("since", type_=TIMESTAMP(timezone=True)),
    bindparam("until", type_=TIMESTAMP(timezone=True)),
)


def markets_due(conn: Connection, until: datetime) -> list[bytes]:
    """Return the markets whose discussion changed before ``until`` and after their last snapshot.

    Markets with a snapshot that covers ``until`` are not among them.
    """
    return list(conn.execute(_DUE, {"until": until}).scalars())


def changed_comments(
    conn: Connection, market_id: bytes, since: datetime | None, until: datetime
) -> list[ChangedComment]:
    """Return a market's comments of before ``until`` that changed since, oldest first."""
    values = {"market": market_id, "since": since, "until": until}
    return many(ChangedComment, conn.execute(_CHANGES, values))


def last_snapshot(conn: Connection, market_id: bytes) -> LastSnapshot | None:
    """Return the market's last snapshot; None before the first."""
    statement = (
        select(_anchors.c.period_end, _anchors.c.cid)
        .where(_anchors.c.market_id == market_id)
        .order_by(_anchors.c.day.desc(), _anchors.c.part.desc())
        .limit(1)
    )
    found = many(LastSnapshot, conn.execute(statement))
    return found[0] if found else None


def add_anchors(conn: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Insert the parts of a snapshot."""
    conn.execute(insert(_anchors), list(rows))


def unpinned(conn: Connection) -> list[StoredDocument]:
    """Return the parts that are not pinned yet, oldest first."""
    columns = [_anchors.c[name] for name in StoredDocument.__struct_fields__]
    statement = select(*columns).where(_anchors.c.pinned_at.is_(None))
    return many(
        StoredDocument,
        conn.execute(statement.order_by(_anchors.c.day, _anchors.c.market_id, _anchors.c.part)),
    )


def count_unpinned(conn: Connection) -> int:
    """Return how many parts are not pinned yet."""
    statement = select(func.count()).where(_anchors.c.pinned_at.is_(None))
    return conn.execute(statement).scalar_one()


def pin_facts(conn: Connection) -> PinFacts:
    """Return which part was pinned last, and how many wait since when."""
    newest = (
        select(_anchors.c.cid, _anchors.c.pinned_at)
        .where(_anchors.c.pinned_at.is_not(None))
        .order_by(_anchors.c.pinned_at.desc())
        .limit(1)
    )
    pinned = conn.execute(newest).one_or_none()
    waiting = select(func.count(), func.min(_anchors.c.created_at)).where(
        _anchors.c.pinned_at.is_(None)
    )
    number, since = conn.execute(waiting).one()
    cid, pinned_at = (None, None) if pinned is None else pinned
    return PinFacts(cid, pinned_at, number, since)


def mark_pinned(conn: Connection, row: StoredDocument) -> None:
    """Record that a part is pinned."""
    conn.execute(
        update(_anchors)
        .where(
            _anchors.c.market_id == row.market_id,
            _anchors.c.day == row.day,
            _anchors.c.part == row.part,
        )
        .values(pinned_at=func.clock_timestamp())
    )


def failed_pins(conn: Connection, at_least: int) -> FailedPins:
    """Return how many parts wait that could not be pinned so many times, and a reason."""
    statement = select(func.count(), func.max(_anchors.c.pin_error)).where(
        _anchors.c.pinned_at.is_(None), _anchors.c.failed_pins >= at_least
    )
    number, error = conn.execute(statement).one()
    return FailedPins(number, error)


def record_failed_pin(conn: Connection, row: StoredDocument, error: str) -> None:
    """Record that a part could not be pinned, and why."""
    conn.execute(
        update(_anchors)
        .where(
            _anchors.c.market_id == row.market_id,
            _anchors.c.day == row.day,
            _anchors.c.part == row.part,
        )
        .values(failed_pins=_anchors.c.failed_pins + 1, pin_error=error[:_MOST_ERROR])
    )


def stored_documents(conn: Connection) -> Iterator[StoredDocument]:
    """Yield every part in the order in which each market's name each other."""
    columns = [_anchors.c[name] for name in StoredDocument.__struct_fields__]
    statement = select(*columns).order_by(_anchors.c.market_id, _anchors.c.day, _anchors.c.part)
    rows = conn.execution_options(yield_per=_BATCH).execute(statement)
    for batch in rows.partitions():
        for row in batch:
            yield StoredDocument(*row)


def sample_pinned(conn: Connection, number: int) -> list[Anchor]:
    """Return so many pinned parts, chosen at random."""
    columns = [_anchors.c[name] for name in Anchor.__struct_fields__]
    statement = select(*columns).where(_anchors.c.pinned_at.is_not(None))
    return many(Anchor, conn.execute(statement.order_by(func.random()).limit(number)))


NEWEST: Final = Order(
    "snapshots",
    (
        KeyColumn("period_end", _anchors.c.period_end, True),
        KeyColumn("part", _anchors.c.part, True),
    ),
)


def anchors_of_market(
    conn: Connection,
    market_id: bytes,
    *,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Anchor]:
    """Return a page of a market's parts, newest first.

    Args:
        after: Key in ``NEWEST`` of the last part of the page before.
    """
    columns = [_anchors.c[name] for name in Anchor.__struct_fields__]
    statement = select(*columns).where(_anchors.c.market_id == market_id)
    page = NEWEST.page(statement, after=after, limit=limit, offset=offset)
    return many(Anchor, conn.execute(page))


def newest_anchors(conn: Connection, *, limit: int) -> list[Anchor]:
    """Return the newest parts of all markets."""
    columns = [_anchors.c[name] for name in Anchor.__struct_fields__]
    statement = select(*columns).order_by(_anchors.c.day.desc(), _anchors.c.market_id)
    return many(Anchor, conn.execute(statement.limit(limit)))


def document(conn: Connection, cid: str) -> bytes | None:
    """Return the bytes of a part; None where none has this CID."""
    statement = select(_anchors.c.document).where(_anchors.c.cid == cid)
    found: bytes | None = conn.execute(statement).scalar_one_or_none()
    return found
