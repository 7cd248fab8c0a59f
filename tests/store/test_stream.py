"""The stream skips nothing, whoever writes at once."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from tests.store.conftest import Engines
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.statement_pipeline import Statement, pipelined
from zmart_pipelines.store.stream import Frame

Append = Callable[[Connection, list[Frame]], list[int]]

WRITERS = 8
SECONDS = 3.0
CHANNELS = [f"market:{number:02}" for number in range(5)]
TYPES = ("trade", "vote")


def frames(dice: random.Random, writer: int) -> list[Frame]:
    return [
        Frame(dice.choice(CHANNELS), dice.choice(TYPES), {"writer": writer, "number": number})
        for number in range(dice.randint(1, 4))
    ]


def test_positions_are_dense_and_channels_are_linked(engines: Engines) -> None:
    api = engines[Role.API]
    with api.begin() as conn:
        assert stream.append(conn, []) == []
        assert stream.append(conn, [Frame("a", "t", {}), Frame("b", "t", {"x": 1})]) == [1, 2]
    with api.begin() as conn:
        assert stream.append(
            conn, [Frame("b", "t", {}), Frame("b", "t", {}), Frame("a", "t", {})]
        ) == [
            3,
            4,
            5,
        ]
    with api.connect() as conn:
        found = stream.read_after(conn, 0)
        assert [(one.channel, one.previous) for one in found] == [
            ("a", 0),
            ("b", 0),
            ("b", 2),
            ("b", 3),
            ("a", 1),
        ]
        assert found[1].payload == {"x": 1}
        assert stream.read_after(conn, 3, limit=1) == [found[3]]
        assert stream.head(conn) == 5


def test_rolled_back_frame_leaves_no_gap_in_positions(engines: Engines) -> None:
    api = engines[Role.API]
    with api.connect() as conn:
        stream.append(conn, [Frame("a", "t", {})])
        conn.rollback()
        assert stream.append(conn, [Frame("a", "t", {})]) == [1]


def test_pruning_keeps_the_sequence(engines: Engines) -> None:
    pipelines = engines[Role.PIPELINES]
    with pipelines.begin() as conn:
        stream.append(conn, [Frame("a", "t", {}) for _ in range(10)])
        assert stream.prune(conn, 3) == 7
        assert stream.append(conn, [Frame("a", "t", {})]) == [11]
        with pytest.raises(ValueError, match="at least 1"):
            stream.prune(conn, 0)


def race(engine: Engine, append: Append) -> tuple[list[int], list[int]]:
    """Eight writers against one reader by position: what was written, what the reader saw.

    Writers dawdle between taking their position and committing, as busy ones do.
    """
    written: list[int] = []
    seen: list[int] = []
    lock = threading.Lock()
    done = threading.Event()

    def write(number: int) -> None:
        dice = random.Random(number)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            with engine.connect() as conn:
                positions = append(conn, frames(dice, number))
                time.sleep(dice.random() * 0.004)
                conn.commit()
            with lock:
                written.extend(positions)

    def read() -> None:
        position = 0
        while True:
            finished = done.is_set()
            with engine.connect() as conn:
                found = stream.read_after(conn, position, limit=50)
            for frame in found:
                seen.append(frame.position)
                position = frame.position
            if finished and not found:
                return

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            for one in writers:
                one.result()
        finally:
            done.set()
        reader.result()
    return sorted(written), seen


def test_eight_concurrent_writers_skip_no_frame(engines: Engines) -> None:
    engine = engines[Role.PIPELINES]
    written, seen = race(engine, stream.append)
    assert len(written) > 100
    assert written == list(range(1, len(written) + 1))
    assert seen == written
    with engine.connect() as conn:
        heads: dict[object, int] = {}
        for frame in stream.read_after(conn, 0, limit=len(written)):
            kind = (frame.channel, frame.type)
            assert frame.previous == heads.get(frame.channel, 0)
            assert frame.type_previous == heads.get(kind, 0)
            heads[frame.channel] = heads[kind] = frame.position


def test_concurrent_writers_collide_without_the_lock(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the key of the table refuses what the lock prevents."""
    monkeypatch.setattr(stream, "locking", lambda _: Statement("SELECT 1"))
    with pytest.raises(IntegrityError):
        race(engines[Role.PIPELINES], stream.append)


def test_sequence_without_lock_loses_frames_in_the_same_race(engines: Engines) -> None:
    """The other control, the usual way to do it: positions are seen with holes."""
    with engines[Role.OWNER].begin() as conn:
        conn.execute(text("CREATE SEQUENCE ops.trap"))
        conn.execute(text("GRANT USAGE ON ops.trap TO zmart_pipelines"))

    def unlocked(conn: Connection, found: list[Frame]) -> list[int]:
        return [
            conn.execute(
                text(
                    "INSERT INTO ops.stream"
                    " (position, channel, previous, type_previous, type, payload)"
                    " VALUES (nextval('ops.trap'), :channel, 0, 0, 't', '{}') RETURNING position"
                ),
                {"channel": frame.channel},
            ).scalar_one()
            for frame in found
        ]

    written, seen = race(engines[Role.PIPELINES], unlocked)
    assert len(seen) < len(written)


Notifications = Callable[[], int]


@pytest.fixture
def notifications(redis_url: str) -> Iterator[Notifications]:
    """Count the notifications that arrived since the last call."""
    client = redis.Redis.from_url(redis_url)
    subscription = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    subscription.subscribe(stream.REDIS_CHANNEL)
    subscription.get_message(timeout=5)

    def count() -> int:
        number = 0
        while subscription.get_message(timeout=0.3) is not None:
            number += 1
        return number

    yield count
    subscription.close()
    client.close()


@pytest.fixture
def writer(database: str, redis_url: str) -> Iterator[Engine]:
    """An engine with one connection that announces its commits."""
    made = role_engine(Role.API, database, pool_size=1, max_overflow=0)
    stream.announce_commits(made, stream.publisher(redis_url))
    yield made
    made.dispose()


FRAME = Frame("a", "t", {})


def test_a_commit_publishes_once(writer: Engine, notifications: Notifications) -> None:
    with writer.connect() as conn:
        for _ in range(3):
            stream.append(conn, [FRAME])
        assert notifications() == 0, "nothing is announced before the commit"
        conn.commit()
        assert notifications() == 1
        stream.append(conn, [FRAME])
        conn.commit()
    assert notifications() == 1
    with writer.begin() as conn:
        stream.append(conn, [])
    assert notifications() == 0


def test_a_published_frame_is_visible(writer: Engine, engines: Engines) -> None:
    seen: list[int] = []

    def read_head() -> None:
        with engines[Role.READ].connect() as conn:
            seen.append(stream.head(conn))

    stream.announce_commits(writer, read_head)
    with writer.begin() as conn:
        stream.append(conn, [FRAME, FRAME])
    assert seen == [2]


def test_a_pipelined_append_publishes(writer: Engine, notifications: Notifications) -> None:
    with writer.begin() as conn, pipelined(conn) as send:
        stream.append_pipelined(conn, send, [FRAME, FRAME])
    assert notifications() == 1
    with writer.connect() as conn:
        assert stream.head(conn) == 2


def test_a_rollback_publishes_nothing_and_leaves_no_hook(
    writer: Engine, notifications: Notifications
) -> None:
    with writer.connect() as conn:
        stream.append(conn, [FRAME])
        conn.rollback()
        conn.execute(text("SELECT 1"))
        conn.commit()
    # A connection that returns to the pool without a commit is reset; the pool has no other.
    with writer.connect() as conn:
        stream.append(conn, [FRAME])
    with writer.begin() as conn:
        conn.execute(text("SELECT 1"))
    with contextlib.suppress(RuntimeError), writer.begin() as conn:
        stream.append(conn, [FRAME])
        raise RuntimeError("the caller fails")
    with writer.begin() as conn:
        conn.execute(text("SELECT 1"))
        assert stream.head(conn) == 0
    assert notifications() == 0


def test_a_failed_commit_publishes_nothing(writer: Engine, notifications: Notifications) -> None:
    with writer.connect() as conn:
        conn.execute(text("CREATE TEMP TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        conn.execute(text("INSERT INTO t VALUES (1), (1)"))
        stream.append(conn, [FRAME])
        with pytest.raises(IntegrityError):
            conn.commit()
    with writer.begin() as conn:
        conn.execute(text("SELECT 1"))
    assert notifications() == 0


def test_a_savepoint_rolled_back_takes_its_announcement_with_it(
    writer: Engine, notifications: Notifications
) -> None:
    with writer.begin() as conn:
        savepoint = conn.begin_nested()
        stream.append(conn, [FRAME])
        savepoint.rollback()
    assert notifications() == 0
    with writer.begin() as conn:
        stream.append(conn, [FRAME])
        savepoint = conn.begin_nested()
        stream.append(conn, [FRAME])
        savepoint.rollback()
        with conn.begin_nested():
            stream.append(conn, [FRAME])
    assert notifications() == 1
    with writer.begin() as conn, conn.begin_nested():
        stream.append(conn, [FRAME])
    assert notifications() == 1


def test_a_commit_succeeds_without_redis(writer: Engine, caplog: pytest.LogCaptureFixture) -> None:
    stream.announce_commits(writer, stream.publisher("redis://127.0.0.1:1/0"))
    with writer.begin() as conn:
        stream.append(conn, [FRAME])
    with writer.connect() as conn:
        assert stream.head(conn) == 1
    assert "could not be announced" in caplog.text
    assert not stream.publish("redis://127.0.0.1:1/0")


def test_a_hook_that_raises_does_not_fail_the_commit(
    writer: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("broken hook")

    stream.announce_commits(writer, fail)
    with writer.begin() as conn:
        stream.append(conn, [FRAME])
    with writer.connect() as conn:
        assert stream.head(conn) == 1
    assert "broken hook" in caplog.text
