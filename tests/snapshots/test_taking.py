"""Snapshots on real Postgres: what is due, what is in them, and pinning that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from tests.fixtures.touched_blocks import count_at_commit, touched_blocks
from tests.store.conftest import Engines, engines
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.snapshots.taking import (
    DayNotOver,
    Taken,
    end_of,
    pin_documents,
    take_snapshots,
)
from zmart_pipelines.store import retention
from zmart_pipelines.store.engine import Role, act_as, act_as_operator
from zmart_pipelines.store.queries import discussion_snapshots as rows

__all__ = ["engines"]

A, B = bytes([1]) * 32, bytes([2]) * 32
WALLET = bytes([8]) * 32
TODAY = datetime.now(UTC).date()
FIRST = TODAY - timedelta(days=3)


@pytest.fixture
def api(engines: Engines) -> Engine:
    with engines[Role.OWNER].begin() as conn:
        conn.execute(text("INSERT INTO community.users (wallet) VALUES (:w)"), {"w": WALLET})
    return engines[Role.API]


def write(engines: Engines, market: bytes, content: str, day: date) -> str:
    """Store a comment as it would have been written at noon of ``day``; its id."""
    values = {"m": market, "w": WALLET, "c": content, "t": end_of(day) - timedelta(hours=12)}
    with engines[Role.OWNER].begin() as conn:
        row = conn.execute(
            text(
                "INSERT INTO community.discussions (market_id, wallet, content, created_at)"
                " VALUES (:m, :w, :c, :t) RETURNING id"
            ),
            values,
        ).one()
    return str(row.id)


def take(engines: Engines, day: date) -> list[Taken]:
    now = end_of(day) + timedelta(minutes=1)
    return list(take_snapshots(engines[Role.PIPELINES], day, now))


def documents(engines: Engines, market: bytes) -> list[dict[str, Any]]:
    with engines[Role.READ].connect() as conn:
        found = [one for one in rows.stored_documents(conn) if one.market_id == market]
    return [json.loads(one.document) for one in found]


def shown(document: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["content"] for one in document["comments"]}


def test_each_day_has_what_changed_since_the_one_before(api: Engine, engines: Engines) -> None:
    first = write(engines, A, "first", FIRST)
    write(engines, B, "elsewhere", FIRST)
    assert {one.market_id for one in take(engines, FIRST)} == {A, B}
    second = write(engines, A, "second", FIRST + timedelta(days=1))
    assert [one.market_id for one in take(engines, FIRST + timedelta(days=1))] == [A]
    with api.begin() as conn:
        act_as(conn, WALLET)
        conn.execute(
            text("UPDATE community.discussions SET deleted_at = now() WHERE id = :id"),
            {"id": first},
        )
    assert [one.comments for one in take(engines, TODAY)] == [1]
    made = documents(engines, A)
    assert [shown(one) for one in made] == [{first: "first"}, {second: "second"}, {first: ""}]
    assert made[2]["comments"][0]["deleted_at"] is not None
    assert [one["period"]["from"] for one in made][1:] == [one["period"]["to"] for one in made[:-1]]
    with engines[Role.READ].connect() as conn:
        cids = [one.cid for one in rows.stored_documents(conn) if one.market_id == A]
    assert [one["previous"] for one in made] == [None, *cids[:-1]]


def test_comment_that_is_shown_again_has_its_text_in_the_next_snapshot(
    api: Engine, engines: Engines
) -> None:
    one = write(engines, A, "one", FIRST)
    take(engines, FIRST)
    for days, hidden_at in ((1, "now()"), (2, "NULL")):
        with api.begin() as conn:
            act_as_operator(conn, None)
            conn.execute(
                text(f"UPDATE community.discussions SET hidden_at = {hidden_at} WHERE id = :id"),
                {"id": one},
            )
        take(engines, FIRST + timedelta(days=days))
    made = documents(engines, A)
    assert [shown(document) for document in made] == [{one: "one"}, {one: ""}, {one: "one"}]
    assert made[2]["comments"][0]["hidden_at"] is None


def test_file_that_something_else_names_stays_pinned(
    api: Engine, engines: Engines, tmp_path: Path
) -> None:
    store, pipelines = LocalPinStore(tmp_path), engines[Role.PIPELINES]
    for days in range(2):
        write(engines, A, f"day {days}", FIRST + timedelta(days=days))
        take(engines, FIRST + timedelta(days=days))
    list(pin_documents(pipelines, store))
    with engines[Role.READ].connect() as conn:
        first, last = (one.cid for one in rows.stored_documents(conn))
    with engines[Role.OWNER].begin() as conn:
        conn.execute(
            text("UPDATE community.users SET avatar_cid = :c WHERE wallet = :w"),
            {"c": first, "w": WALLET},
        )
    moment = end_of(TODAY) + timedelta(days=1000)
    retention.prune_files(pipelines, Settings(), moment, store.unpin)
    with engines[Role.READ].connect() as conn:
        assert [one.cid for one in rows.stored_documents(conn)] == [last]
    assert store.get(first), "a profile names it"


def test_days_that_were_missed_are_in_the_next(api: Engine, engines: Engines) -> None:
    written = [write(engines, A, f"day {n}", FIRST + timedelta(days=n)) for n in range(3)]
    take(engines, FIRST + timedelta(days=2))
    (made,) = documents(engines, A)
    assert list(shown(made)) == written


def test_taking_again_changes_nothing(api: Engine, engines: Engines) -> None:
    write(engines, A, "one", FIRST)
    take(engines, FIRST + timedelta(days=1))
    before = documents(engines, A)
    assert take(engines, FIRST + timedelta(days=1)) == []
    assert take(engines, FIRST) == [], "a later snapshot covers it"
    assert documents(engines, A) == before


def test_two_runs_at_once_take_each_market_once(api: Engine, engines: Engines) -> None:
    for number in range(20):
        write(engines, bytes([number]) * 32, "one", FIRST)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: take(engines, FIRST), range(2)))
    taken = [one.market_id for part in both for one in part]
    assert len(taken) == len(set(taken)) == 20


def test_day_that_is_not_over_is_refused(api: Engine, engines: Engines) -> None:
    write(engines, A, "one", TODAY)
    now = end_of(TODAY) + timedelta(seconds=29)
    with pytest.raises(DayNotOver, match="can be taken from"):
        list(take_snapshots(engines[Role.PIPELINES], TODAY, now))


@contextmanager
def counted(made: Engine) -> Iterator[list[str]]:
    """The statements of an engine."""
    statements: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(made, "before_cursor_execute", note)
    yield statements
    event.remove(made, "before_cursor_execute", note)


def test_cost_of_a_market_does_not_grow_with_the_others(
    api: Engine, engines: Engines, database: str, tmp_path: Path
) -> None:
    """Counted, not timed: statements, and the blocks of the table that they touch."""
    made = role_engine(Role.PIPELINES, database, pool_size=1, max_overflow=0)
    store = LocalPinStore(tmp_path)
    now = end_of(FIRST) + timedelta(minutes=1)
    markets = iter(sha256(b"%d" % number).digest() for number in range(100))

    def touched() -> int:
        return touched_blocks(made, ["community.discussions"])

    def costs(number: int) -> tuple[float, float, float]:
        """Statements of taking and of pinning, and blocks, for each of so many new markets."""
        with engines[Role.OWNER].begin() as conn:
            for market in islice(markets, number):
                conn.execute(
                    text(
                        "INSERT INTO community.discussions (market_id, wallet, content, created_at)"
                        " SELECT :m, :w, repeat('long', 150), :t FROM generate_series(1, 20)"
                    ),
                    {"m": market, "w": WALLET, "t": end_of(FIRST) - timedelta(hours=1)},
                )
            count_at_commit(conn)
        before = touched()
        with counted(made) as taking:
            assert len(list(take_snapshots(made, FIRST, now))) == number
        blocks = touched() - before
        with counted(made) as pinning:
            assert len(list(pin_documents(made, store))) == number
        # One of each asks what is due.
        return (len(taking) - 1) / number, (len(pinning) - 1) / number, blocks / number

    few, many = costs(10), costs(80)
    made.dispose()
    assert few[:2] == many[:2]
    assert many[2] <= few[2] + 1


class FailingStore(LocalPinStore):
    """Fails for the files whose turn is named."""

    def __init__(self, folder: Path, failing: set[int]) -> None:
        super().__init__(folder)
        self._failing = failing
        self._turn = 0

    def pin(self, data: bytes) -> str:
        self._turn += 1
        if self._turn in self._failing:
            raise PinError("no space")
        return super().pin(data)


def test_file_that_cannot_be_pinned_is_tried_again(
    api: Engine, engines: Engines, tmp_path: Path
) -> None:
    for market in (A, B):
        write(engines, market, "one", FIRST)
    take(engines, FIRST)
    pipelines = engines[Role.PIPELINES]
    outcomes = list(pin_documents(pipelines, FailingStore(tmp_path, {1})))
    assert [one.error for one in outcomes] == ["no space", None]
    with engines[Role.READ].connect() as conn:
        assert rows.count_unpinned(conn) == 1
    store = LocalPinStore(tmp_path)
    assert [one.error for one in pin_documents(pipelines, store)] == [None]
    assert list(pin_documents(pipelines, store)) == []
    with engines[Role.READ].connect() as conn:
        for one in rows.stored_documents(conn):
            assert store.get(one.cid) == one.document


def test_retention_keeps_the_last_snapshot_of_each_market(
    api: Engine, engines: Engines, tmp_path: Path
) -> None:
    store, pipelines = LocalPinStore(tmp_path), engines[Role.PIPELINES]
    for number in range(3):
        write(engines, A, f"day {number}", FIRST + timedelta(days=number))
        take(engines, FIRST + timedelta(days=number))
    list(pin_documents(pipelines, store))
    with engines[Role.READ].connect() as conn:
        cids = [one.cid for one in rows.stored_documents(conn)]
    assert len(cids) == 3

    def kept(days: int) -> set[str]:
        moment = end_of(FIRST) + timedelta(days=days)
        retention.prune_files(pipelines, Settings(), moment, store.unpin)
        with engines[Role.READ].connect() as conn:
            named = {one.cid for one in rows.stored_documents(conn)}
        assert named == {path.name for path in tmp_path.iterdir()}
        return named

    assert kept(97) == set(cids), "90 days, and a week of grace"
    assert kept(98) == set(cids[1:])
    assert kept(1000) == {cids[2]}
