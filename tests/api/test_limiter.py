"""The limiter over a real Redis: exact across processes, and there when Redis is not."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from api.rate_limit import redis_buckets
from api.rate_limit.limiter import MAX_BUCKETS, Charge, Decision, Limiter
from api.rate_limit.redis_buckets import RedisBuckets
from api.rate_limit.token_bucket import MAX_LIMIT, MINUTE_MS, Quota
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.redis import RedisServer, find_server

PROJECT = Path(__file__).parents[2]
HOUR_MS = 3_600_000
PROCESSES = 4
WAIT_SECONDS = 60


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what is tested is how Redis decides."""
    monkeypatch.setattr(redis_buckets, "ANSWER_SECONDS", WAIT_SECONDS)


@pytest.mark.parametrize("buckets", [1, 2])
def test_limit_is_exact_over_four_processes(redis_url: str, buckets: int) -> None:
    limit, asked = 100, 200
    redis.Redis.from_url(redis_url).delete("limit:shared0:one", "limit:shared1:one")
    command = [sys.executable, "-m", "tests.api.limiter_process", redis_url]
    command += [str(limit), str(HOUR_MS), str(asked), str(buckets)]
    processes = [
        subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=WAIT_SECONDS)[0] for process in processes]
        allowed = sum(int(answer.split()[0]) for answer in answers)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    refill = (time.monotonic() - began) * limit * 1000 / HOUR_MS
    assert limit <= allowed <= limit + refill


class Redis:
    """A Redis that can be killed, frozen and started again on its port."""

    def __init__(self, home: Path) -> None:
        program = find_server()
        self.server = RedisServer(
            home=home, port=unused_port(), password="password", program=program
        )
        self.server.prepare()
        self._log = (home / "log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        home = self.server.home
        self.process = start(self.server.command(), environment={}, folder=home, output=self._log)
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.server.answers():
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(WAIT_SECONDS)

    def close(self) -> None:
        self.kill()
        self._log.close()


@contextmanager
def redis_in(home: Path) -> Iterator[Redis]:
    made = Redis(home)
    try:
        made.start()
        yield made
    finally:
        made.close()


def left(decision: Decision) -> int:
    """The tokens of the only bucket."""
    (state,) = decision.states
    return state.remaining


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("patient")
@pytest.mark.process
def test_killed_redis_is_replaced_by_the_process_and_used_again(tmp_path: Path) -> None:
    quota = Quota("q", 10, HOUR_MS)

    async def scenario(server: Redis) -> None:
        buckets = RedisBuckets(server.server.url())
        limiter = Limiter(buckets)
        async with limiter.running():
            await until(lambda: buckets.is_connected)
            for _ in range(4):
                assert (await limiter.take(Charge(quota, "a"))).is_allowed
            server.kill()
            await until(lambda: not buckets.is_connected)
            # The bucket goes on from where Redis left it.
            here = [await limiter.take(Charge(quota, "a")) for _ in range(8)]
            assert [one.is_allowed for one in here] == [True] * 6 + [False] * 2
            # One that this process does not know has half of its tokens.
            assert left(await limiter.take(Charge(quota, "b"))) == 4
            server.start()
            await until(lambda: buckets.is_connected)
            # Redis has lost its data, and is told what the buckets lack.
            assert not (await limiter.take(Charge(quota, "a"))).is_allowed
            assert left(await limiter.take(Charge(quota, "b"))) == 3
            # Counted in Redis again: another process sees what this one takes.
            assert left(await limiter.take(Charge(quota, "c"))) == 9
            other_buckets = RedisBuckets(server.server.url())
            other = Limiter(other_buckets)
            async with other.running():
                await until(lambda: other_buckets.is_connected)
                assert left(await other.take(Charge(quota, "c"))) == 8
                assert left(await other.take(Charge(quota, "b"))) == 2

    with redis_in(tmp_path) as server:
        asyncio.run(scenario(server))


@pytest.mark.process
def test_frozen_redis_delays_a_request_only_once(tmp_path: Path) -> None:
    quota = Quota("q", 5, HOUR_MS)

    async def scenario(server: Redis) -> None:
        buckets = RedisBuckets(server.server.url())
        limiter = Limiter(buckets)
        async with limiter.running():
            await until(lambda: buckets.is_connected)
            server.signal(signal.SIGSTOP)
            async with asyncio.timeout(WAIT_SECONDS):
                frozen = await asyncio.gather(*(limiter.take(Charge(quota, "a")) for _ in range(8)))
            # What was asked of Redis is decided here, as in any outage.
            assert sum(one.is_allowed for one in frozen) == 3
            assert not buckets.is_connected
            server.signal(signal.SIGCONT)
            await until(lambda: buckets.is_connected)

    with redis_in(tmp_path) as server:
        asyncio.run(scenario(server))


@pytest.mark.usefixtures("patient")
@pytest.mark.process
def test_forgotten_script_and_other_values_are_survived(tmp_path: Path) -> None:
    quota = Quota("q", 3, HOUR_MS)

    async def scenario(server: Redis) -> None:
        connection = redis.Redis.from_url(server.server.url())
        connection.set("limit:q:a", "no debt")
        buckets = RedisBuckets(server.server.url())
        limiter = Limiter(buckets)
        async with limiter.running():
            await until(lambda: buckets.is_connected)
            assert left(await limiter.take(Charge(quota, "a"))) == 2
            connection.script_flush()
            assert left(await limiter.take(Charge(quota, "a"))) == 1, "decided here"
            await until(lambda: buckets.is_connected)
            assert left(await limiter.take(Charge(quota, "b"))) == 2
            assert connection.get("limit:q:b") is not None

    with redis_in(tmp_path) as server:
        asyncio.run(scenario(server))


@pytest.mark.usefixtures("patient")
def test_requests_of_one_turn_share_a_call_and_see_their_own_tokens(redis_url: str) -> None:
    quota = Quota("turn", 3, HOUR_MS)
    redis.Redis.from_url(redis_url).delete("limit:turn:a", "limit:turn:b")

    async def scenario() -> list[tuple[bool, int]]:
        buckets = RedisBuckets(redis_url)
        limiter = Limiter(buckets)
        async with limiter.running():
            await until(lambda: buckets.is_connected)
            taken = await asyncio.gather(*(limiter.take(Charge(quota, name)) for name in "aababa"))
        return [(one.is_allowed, left(one)) for one in taken]

    found = asyncio.run(scenario())
    assert found == [(True, 2), (True, 1), (True, 2), (True, 0), (True, 1), (False, 0)]


def test_known_empty_bucket_is_refused_without_redis() -> None:
    now = [0]
    limiter = Limiter(None, clock_ms=lambda: now[0])
    quota = Quota("q", 2)

    async def scenario() -> None:
        assert [(await limiter.take(Charge(quota, "a"))).is_allowed for _ in range(3)] == [
            True,
            True,
            False,
        ]
        refused = await limiter.take(Charge(quota, "a"))
        assert (left(refused), refused.decisive.next_seconds) == (0, 30)
        now[0] += 29_997
        assert not (await limiter.take(Charge(quota, "a"))).is_allowed
        now[0] += 3
        assert (await limiter.take(Charge(quota, "a"))).is_allowed

    asyncio.run(scenario())


@pytest.mark.usefixtures("patient")
def test_request_takes_from_all_its_buckets_or_from_none(redis_url: str) -> None:
    large, small = Quota("large", 5, HOUR_MS), Quota("small", 2, HOUR_MS)
    redis.Redis.from_url(redis_url).delete("limit:large:a", "limit:small:a")

    async def scenario(limiter: Limiter) -> None:
        both = (Charge(large, "a"), Charge(small, "a"))
        taken = [await limiter.take(*both) for _ in range(3)]
        assert [one.is_allowed for one in taken] == [True, True, False]
        assert taken[2].decisive.quota is small
        assert [state.is_short for state in taken[2].states] == [False, True]
        # The refused one took nothing from the other bucket.
        rest = [await limiter.take(Charge(large, "a")) for _ in range(4)]
        assert [one.is_allowed for one in rest] == [True] * 3 + [False]
        # In one turn of the event loop: a bucket that two kinds of requests share.
        mixed = await asyncio.gather(
            *(limiter.take(Charge(small, "b"), Charge(large, "b")) for _ in range(3)),
            *(limiter.take(Charge(large, "b")) for _ in range(4)),
        )
        assert [one.is_allowed for one in mixed] == [True, True, False, True, True, True, False]

    async def on_redis() -> None:
        buckets = RedisBuckets(redis_url)
        limiter = Limiter(buckets)
        redis.Redis.from_url(redis_url).delete("limit:large:b", "limit:small:b")
        async with limiter.running():
            assert buckets.is_connected, "the first requests are counted in Redis"
            await scenario(limiter)

    asyncio.run(on_redis())
    asyncio.run(scenario(Limiter(None)))


@pytest.mark.usefixtures("patient")
def test_another_process_sees_a_refusal_of_redis(redis_url: str) -> None:
    """Data that Redis has lost is made up for by the process that knows most."""
    quota = Quota("flushed", 4, HOUR_MS)
    connection = redis.Redis.from_url(redis_url)
    connection.delete("limit:flushed:a")

    async def scenario() -> None:
        first, second = Limiter(RedisBuckets(redis_url)), Limiter(RedisBuckets(redis_url))
        async with first.running(), second.running():
            for _ in range(4):
                assert (await first.take(Charge(quota, "a"))).is_allowed
            connection.delete("limit:flushed:a")
            assert not (await first.take(Charge(quota, "a"))).is_allowed
            # It knows nothing of the bucket, and Redis neither.
            assert left(await second.take(Charge(quota, "a"))) == 3
            assert not (await first.take(Charge(quota, "a"))).is_allowed

    asyncio.run(scenario())


@given(st.integers(1, MAX_LIMIT), st.sampled_from([1_000, MINUTE_MS, HOUR_MS]))
def test_client_that_paces_at_the_limit_is_never_refused(limit: int, window: int) -> None:
    now = [0]
    limiter, quota = Limiter(None, clock_ms=lambda: now[0]), Quota("q", limit, window)

    async def scenario() -> None:
        for number in range(300):
            # The clock of the server shows whole milliseconds.
            now[0] = number * window // limit
            assert (await limiter.take(Charge(quota, "a"))).is_allowed

    asyncio.run(scenario())


def test_clock_that_goes_back_neither_gives_tokens_nor_takes_them() -> None:
    now = [1_000_000]
    limiter, quota = Limiter(None, clock_ms=lambda: now[0]), Quota("q", 3)

    async def scenario() -> None:
        assert left(await limiter.take(Charge(quota, "a"))) == 2
        now[0] -= 900_000
        assert [left(await limiter.take(Charge(quota, "a"))) for _ in range(2)] == [1, 0]
        assert not (await limiter.take(Charge(quota, "a"))).is_allowed
        now[0] += MINUTE_MS
        assert left(await limiter.take(Charge(quota, "a"))) == 2

    asyncio.run(scenario())


@pytest.mark.usefixtures("patient")
def test_memory_is_bounded_in_the_process_and_in_redis(redis_url: str) -> None:
    """The process forgets the longest unused bucket; Redis each that is full again."""
    quota = Quota("many", 100)

    async def scenario() -> None:
        limiter = Limiter(None, clock_ms=lambda: 0)  # nothing comes back
        for number in range(MAX_BUCKETS + 100):
            await limiter.take(Charge(quota, str(number)))
        assert left(await limiter.take(Charge(quota, str(MAX_BUCKETS)))) == 98
        assert left(await limiter.take(Charge(quota, "0"))) == 99

    asyncio.run(scenario())

    async def on_redis() -> None:
        limiter = Limiter(RedisBuckets(redis_url))
        async with limiter.running():
            await limiter.take(Charge(quota, "expiring"))

    asyncio.run(on_redis())
    expires_in = cast(int, redis.Redis.from_url(redis_url).pttl("limit:many:expiring"))
    assert 0 <= expires_in <= 601
