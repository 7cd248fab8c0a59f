"""The live stream (outbox): frames for clients, written in the transaction that causes them.

Each frame gets the next position of one global sequence, under an advisory lock that the
writing transaction takes last and keeps until it commits. So positions become visible in
their order, and a reader that resumes from the last position it saw skips nothing.
``store.stream_sources`` reads it by channel.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import redis
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, delete, func, select

from zmart_pipelines import tracing
from zmart_pipelines.store.binary_arrays import numbers, texts
from zmart_pipelines.store.commit_hooks import Hook, after_commit, before_commit
from zmart_pipelines.store.locks import STREAM, locking
from zmart_pipelines.store.statement_pipeline import Send, Statement, pipelined
from zmart_pipelines.store.tables import ops

REDIS_CHANNEL = "zmart:stream"
MARKETS_CHANNEL = "markets"
ALERTS_CHANNEL = "alerts"
# All alerts, with their texts.
OPERATOR_ALERTS_CHANNEL = "alerts:operators"

# The execution option of an engine that holds its announcer.
_ANNOUNCE = "zmart_stream_announcer"

_log = logging.getLogger(__name__)
_stream = ops.stream


def market_channel(market_id: bytes) -> str:
    """Return the channel of one market."""
    return f"market:{market_id.hex()}"


def wallet_channel(wallet: bytes) -> str:
    """Return the channel of one wallet."""
    return f"wallet:{Pubkey.from_bytes(wallet)}"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message before it has a position.

    Attributes:
        channel: ``market:{id in hex}``, ``markets``, ``wallet:{address}``, ``alerts`` or
            ``alerts:operators``.
        type: The WebSocket envelope's ``type``: trade, vote, market_state, discussion, …
        payload: The envelope's ``data``.
    """

    channel: str
    type: str
    payload: msgspec.Struct | dict[str, Any]


class StoredFrame(msgspec.Struct, frozen=True):
    """A frame as stored.

    Attributes:
        previous: The position before it on its channel (0: none).
        type_previous: The position before it on its channel with its type (0: none).
    """

    position: int
    channel: str
    previous: int
    type_previous: int
    type: str
    payload: dict[str, Any]
    created_at: datetime


_COLUMNS: Final = [_stream.c[name] for name in StoredFrame.__struct_fields__]

# ``before`` is the number of the frame before on the same channel, ``type_before`` of the one
# with the same type; 0 if that is a stored one. Consecutive frames with the same payload on several
# channels share it.
_APPEND = """
WITH payloads AS MATERIALIZED (
    SELECT number, payload::jsonb AS payload
    FROM unnest(%b::text[]) WITH ORDINALITY AS p (payload, number)
)
INSERT INTO ops.stream (position, channel, previous, type_previous, type, payload, traceparent)
SELECT
    first + f.number,
    f.channel,
    CASE WHEN f.before > 0 THEN first + f.before ELSE coalesce(
        (SELECT max(s.position) FROM ops.stream AS s WHERE s.channel = f.channel), 0) END,
    CASE WHEN f.type_before > 0 THEN first + f.type_before ELSE coalesce(
        (SELECT max(s.position) FROM ops.stream AS s
            WHERE s.channel = f.channel AND s.type = f.type), 0) END,
    f.type,
    p.payload,
    %b::text
FROM (SELECT coalesce(max(position), 0) AS first FROM ops.stream) AS dense
CROSS JOIN unnest(%b::text[], %b::text[], %b::int8[], %b::int8[], %b::int8[]) WITH ORDINALITY
    AS f (channel, type, payload, before, type_before, number)
JOIN payloads AS p ON p.number = f.payload
ORDER BY f.number
RETURNING position
"""


def _append_statement(frames: Iterable[Frame]) -> Statement | None:
    """Return the statement that appends in a transaction that holds ``STREAM``.

    It returns the positions. None where there are no frames. Each frame is encoded before the
    next one is requested.
    """
    encoded: list[str] = []
    channels: list[str] = []
    types: list[str] = []
    payloads: list[int] = []
    before: list[int] = []
    type_before: list[int] = []
    last: dict[str, int] = {}
    type_last: dict[tuple[str, str], int] = {}
    shared: msgspec.Struct | dict[str, Any] | None = None
    for number, frame in enumerate(frames, 1):
        if frame.payload is not shared:
            shared = frame.payload
            encoded.append(msgspec.json.encode(shared).decode())
        payloads.append(len(encoded))
        channels.append(frame.channel)
        types.append(frame.type)
        before.append(last.get(frame.channel, 0))
        last[frame.channel] = number
        kind = (frame.channel, frame.type)
        type_before.append(type_last.get(kind, 0))
        type_last[kind] = number
    if not channels:
        return None
    return Statement(
        _APPEND,
        (
            texts(encoded),
            tracing.current_traceparent(),
            texts(channels),
            texts(types),
            numbers(payloads),
            numbers(before),
            numbers(type_before),
        ),
    )


def append(conn: Connection, frames: Iterable[Frame]) -> list[int]:
    """Give the frames the next positions, in their order, and store them.

    Call it as the last statement before the commit: every other writer of frames waits
    from here until this transaction ends. The isolation must be READ COMMITTED (the
    default), so that the statement after the lock sees what the holder before committed.

    Returns:
        The positions, ascending and contiguous.
    """
    statement = _append_statement(frames)
    if statement is None:
        return []
    _announce_on_commit(conn)
    # The lock is not kept while its own answer travels.
    with pipelined(conn) as send:
        send(locking(STREAM))
        appended = send(statement)
    return sorted(position for (position,) in appended)


def append_pipelined(conn: Connection, send: Send, frames: Iterable[Frame]) -> None:
    """Do what ``append`` does inside a ``pipelined`` block of ``conn``, without waiting."""
    statement = _append_statement(frames)
    if statement is not None:
        send(locking(STREAM))
        send(statement)
        _announce_on_commit(conn)


def append_at_commit(conn: Connection, frames: Iterable[Frame]) -> None:
    """Append the frames right before the current transaction commits.

    For transactions that go on after what the frames tell of.
    """
    for frame in frames:
        before_commit(conn, append, frame)


def announce_commits(engine: Engine, announce: Hook) -> None:
    """Call ``announce`` after each commit of ``engine``'s connections that appended frames.

    Engines without it append silently: hubs find the frames when they next poll the table.
    """
    engine.update_execution_options(**{_ANNOUNCE: announce})


def _announce_on_commit(conn: Connection) -> None:
    announce: Hook | None = conn.get_execution_options().get(_ANNOUNCE)
    if announce is not None:
        after_commit(conn, announce)


def read_after(conn: Connection, position: int, limit: int = 1000) -> list[StoredFrame]:
    """Return the frames after ``position``, oldest first."""
    after = _stream.c.position > position
    page = select(*_COLUMNS).where(after).order_by(_stream.c.position).limit(limit)
    return [StoredFrame(*row) for row in conn.execute(page)]


def traceparents(conn: Connection, first: int, last: int) -> dict[int, str]:
    """Return the trace contexts of those of these positions that have one."""
    rows = conn.execute(
        select(_stream.c.position, _stream.c.traceparent).where(
            _stream.c.position.between(first, last), _stream.c.traceparent.is_not(None)
        )
    )
    return {row.position: row.traceparent for row in rows}


def head(conn: Connection) -> int:
    """Return the last position (0 for an empty stream)."""
    position: int | None = conn.execute(select(func.max(_stream.c.position))).scalar_one()
    return position or 0


def prune(conn: Connection, keep: int) -> int:
    """Delete all but the last ``keep`` (at least 1) frames; return how many were deleted.

    A client whose last position is older resumes from REST.
    """
    if keep < 1:
        raise ValueError(
            "keep must be at least 1, because the sequence continues from the last frame"
        )
    result = conn.execute(
        delete(_stream).where(
            _stream.c.position <= select(func.max(_stream.c.position) - keep).scalar_subquery()
        )
    )
    return result.rowcount


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)


def publish(redis_url: str) -> bool:
    """Notify the hubs of the API processes through Redis that the stream has grown.

    Best effort: hubs also poll the table, so a lost message only delays the frames.

    Returns:
        Whether Redis accepted the message.
    """
    try:
        _client(redis_url).publish(REDIS_CHANNEL, "appended")
    except redis.RedisError as error:
        _log.warning("the stream could not be announced on Redis: %s", type(error).__name__)
        return False
    return True


def publisher(redis_url: str) -> Hook:
    """Return an announcer for ``announce_commits`` that publishes to this Redis."""

    def announce() -> None:
        publish(redis_url)

    return announce
