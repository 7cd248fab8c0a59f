"""Frames that are asked for anywhere in a transaction are appended right before its commit."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.store.conftest import Engines
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.locks import STREAM
from zmart_pipelines.store.stream import Frame

_HOLDERS = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND (classid::bigint << 32) + objid::bigint = :key"
)


def frames(engines: Engines) -> list[int]:
    """The numbers of the stored frames, in order."""
    with engines[Role.READ].connect() as conn:
        return [frame.payload["n"] for frame in stream.read_after(conn, 0)]


def numbered(*numbers: int) -> list[Frame]:
    return [Frame("a", "t", {"n": number}) for number in numbers]


def test_they_are_appended_in_their_order_by_the_last_statement(engines: Engines) -> None:
    with engines[Role.PIPELINES].begin() as conn:
        stream.append_at_commit(conn, numbered(1, 2))
        stream.append_at_commit(conn, numbered(3))
        # Other writers of frames do not wait for the rest of this transaction.
        assert conn.execute(_HOLDERS, {"key": STREAM}).scalar_one() == 0
        assert stream.head(conn) == 0
    assert frames(engines) == [1, 2, 3]


def test_they_follow_what_the_transaction_appended_itself(engines: Engines) -> None:
    with engines[Role.PIPELINES].begin() as conn:
        stream.append_at_commit(conn, numbered(2))
        stream.append(conn, numbered(1))
    assert frames(engines) == [1, 2]


def test_rollback_drops_them(engines: Engines) -> None:
    with engines[Role.PIPELINES].connect() as conn:
        stream.append_at_commit(conn, numbered(1))
        conn.rollback()
        stream.append_at_commit(conn, numbered(2))
        conn.commit()
        conn.execute(text("SELECT 1"))
        conn.commit()
    assert frames(engines) == [2]


def test_rollback_to_a_savepoint_drops_those_since(engines: Engines) -> None:
    with engines[Role.PIPELINES].begin() as conn:
        stream.append_at_commit(conn, numbered(1))
        inner = conn.begin_nested()
        stream.append_at_commit(conn, numbered(2))
        inner.rollback()
        with conn.begin_nested():
            stream.append_at_commit(conn, numbered(3))
    assert frames(engines) == [1, 3]


def test_transaction_fails_where_they_cannot_be_appended(engines: Engines) -> None:
    with engines[Role.PIPELINES].connect() as conn:
        conn.execute(text("INSERT INTO ops.switches (action, enabled) VALUES ('all', false)"))
        stream.append_at_commit(conn, [Frame("a", "t", {"text": "\x00"})])
        with pytest.raises(DBAPIError):
            conn.commit()
    with engines[Role.READ].connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM ops.switches")).scalar_one() == 0
