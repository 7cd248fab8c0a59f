"""Take the snapshot of a discussion: build, store, pin.

The documents are stored before they are pinned, and pinned from what is stored. So a pin store
that fails costs nothing but time, and a snapshot that was taken never changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final

import msgspec
from sqlalchemy import Engine

from zmart_pipelines.ipfs.pin_store import PinError, PinStore
from zmart_pipelines.snapshots.documents import Period, documents
from zmart_pipelines.store.locks import lock_pinned_file, lock_snapshots
from zmart_pipelines.store.queries import discussion_snapshots as rows

# A comment's time is that of the start of its transaction, which may be committed after midnight;
# by then every transaction of the API has ended.
SETTLE: Final = timedelta(seconds=30)


class DayNotOver(ValueError):
    """The day has not ended yet, or its last comments may not be committed."""


class Taken(msgspec.Struct, frozen=True):
    """A market's snapshot that was taken now; ``seconds`` is the time that it took."""

    market_id: bytes
    comments: int
    parts: int
    bytes: int
    seconds: float


class Pinned(msgspec.Struct, frozen=True):
    """What became of a stored document; ``error`` says why it is not pinned."""

    market_id: bytes
    cid: str
    error: str | None


def end_of(day: date) -> datetime:
    """Return the moment at which a UTC day ends."""
    return datetime.combine(day, time_of_day(), UTC) + timedelta(days=1)


def take_snapshots(engine: Engine, day: date, now: datetime) -> Iterator[Taken]:
    """Store the snapshot of every market whose discussion changed; yield each as it is stored.

    A market's snapshot covers the time since its last one, so that days that were missed are in
    the next. What is covered already is left as it is.

    Args:
        engine: Of the pipelines.
        day: The UTC day at whose end the snapshots end.
        now: The time, UTC.

    Raises:
        DayNotOver: It is too early.
    """
    end = end_of(day)
    if now < end + SETTLE:
        raise DayNotOver(
            f"the snapshot of {day} can be taken from {end + SETTLE:%Y-%m-%d %H:%M:%S} UTC"
        )
    with engine.connect() as conn:
        due = rows.markets_due(conn, end)
    for market_id in due:
        taken = _take(engine, market_id, day, end)
        if taken is not None:
            yield taken


def _take(engine: Engine, market_id: bytes, day: date, end: datetime) -> Taken | None:
    started = time.monotonic()
    with engine.begin() as conn:
        lock_snapshots(conn, market_id)
        last = rows.last_snapshot(conn, market_id)
        start = None if last is None else last.period_end
        if start is not None and start >= end:
            return None
        comments = rows.changed_comments(conn, market_id, start, end)
        made = documents(
            market_id, Period(start, end), None if last is None else last.cid, comments
        )
        if not made:
            return None
        rows.add_anchors(
            conn,
            [
                {
                    "market_id": market_id,
                    "day": day,
                    "part": one.part,
                    "parts": one.parts,
                    "cid": one.cid,
                    "document": one.data,
                    "comments": one.comments,
                    "period_start": start,
                    "period_end": end,
                }
                for one in made
            ],
        )
    size = sum(len(one.data) for one in made)
    return Taken(market_id, len(comments), len(made), size, time.monotonic() - started)


def pin_documents(engine: Engine, store: PinStore) -> Iterator[Pinned]:
    """Pin every stored document that is not pinned yet; yield what became of each.

    One that cannot be pinned is tried again the next time.
    """
    with engine.connect() as conn:
        waiting = rows.unpinned(conn)
    for row in waiting:
        yield Pinned(row.market_id, row.cid, _pin(engine, store, row))


def _pin(engine: Engine, store: PinStore, row: rows.StoredDocument) -> str | None:
    with engine.begin() as conn:
        lock_pinned_file(conn, row.cid)
        error = _pin_error(store, row)
        if error is None:
            rows.mark_pinned(conn, row)
        else:
            rows.record_failed_pin(conn, row, error)
    return error


def _pin_error(store: PinStore, row: rows.StoredDocument) -> str | None:
    try:
        named = store.pin(row.document)
    except PinError as error:
        return str(error)
    return None if named == row.cid else f"the pin store named {named}"
