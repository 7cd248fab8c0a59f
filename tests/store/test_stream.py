"""The stream skips nothing, whoever writes at once."""

from __future__ import annotations

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
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.stream import Frame

Append = Callable[[Connection, list[Frame]], list[int]]

WRITERS = 8
SECONDS = 3.0
CHANNELS = [f"market:{number:02}" for number in range(5)]


def frames(dice: random.Random, writer: int) -> list[Frame]:
    return [
        Frame(dice.choice(CHANNELS), "trade", {"writer": writer, "number": number})
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
        assert stream.read_channel_after(conn, "a", 1) == [found[4]]
        assert (stream.head(conn), stream.channel_head(conn, "b")) == (5, 4)
        assert stream.channel_head(conn, "nobody") == 0


def test_a_rolled_back_frame_leaves_no_hole(engines: Engines) -> None:
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


def test_eight_writers_at_once_and_no_frame_is_skipped(engines: Engines) -> None:
    engine = engines[Role.PIPELINES]
    written, seen = race(engine, stream.append)
    assert len(written) > 100
    assert written == list(range(1, len(written) + 1))
    assert seen == written
    with engine.connect() as conn:
        heads: dict[str, int] = {}
        for frame in stream.read_after(conn, 0, limit=len(written)):
            assert frame.previous == heads.get(frame.channel, 0)
            heads[frame.channel] = frame.position


def test_without_the_lock_writers_collide(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the key of the table refuses what the lock prevents."""
    monkeypatch.setattr(stream, "lock", lambda *_: None)
    with pytest.raises(IntegrityError):
        race(engines[Role.PIPELINES], stream.append)


def test_with_a_sequence_and_no_lock_the_same_race_loses_frames(engines: Engines) -> None:
    """The other control, the usual way to do it: positions are seen with holes."""
    with engines[Role.OWNER].begin() as conn:
        conn.execute(text("CREATE SEQUENCE ops.trap"))
        conn.execute(text("GRANT USAGE ON ops.trap TO zmart_pipelines"))

    def unlocked(conn: Connection, found: list[Frame]) -> list[int]:
        return [
            conn.execute(
                text(
                    "INSERT INTO ops.stream (position, channel, previous, type, payload)"
                    " VALUES (nextval('ops.trap'), :channel, 0, 't', '{}') RETURNING position"
                ),
                {"channel": frame.channel},
            ).scalar_one()
            for frame in found
        ]

    written, seen = race(engines[Role.PIPELINES], unlocked)
    assert len(seen) < len(written)


@pytest.fixture
def hub(redis_url: str) -> Iterator[redis.client.PubSub]:
    """A subscription to what is announced."""
    client = redis.Redis.from_url(redis_url)
    subscription = client.pubsub()  # type: ignore[no-untyped-call]
    subscription.subscribe(stream.REDIS_CHANNEL)
    assert subscription.get_message(timeout=5)["type"] == "subscribe"
    yield subscription
    subscription.close()
    client.close()


def test_announcing_wakes_the_hubs(redis_url: str, hub: redis.client.PubSub) -> None:
    assert stream.announce(redis_url, [4, 7])
    assert hub.get_message(timeout=5)["data"] == b"7"
    assert stream.announce(redis_url, [])


def test_a_lost_redis_costs_nothing_but_time() -> None:
    assert not stream.announce("redis://127.0.0.1:1/0", [1])
