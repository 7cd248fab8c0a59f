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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.rate_limit import token_bucket
from api.rate_limit.limiter import Limiter
from api.rate_limit.redis_buckets import SCRIPT, RedisBuckets
from api.rate_limit.token_bucket import Quota
from tests.fixtures.ports import free_port
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.redis import RedisServer, find_server

PROJECT = Path(__file__).parents[2]
HOUR_MS = 3_600_000
PROCESSES = 4
WAIT_SECONDS = 60


def test_limit_is_exact_over_four_processes(redis_url: str) -> None:
    limit, asked = 100, 200
    redis.Redis.from_url(redis_url).delete("limit:shared:one")
    command = [sys.executable, "-m", "tests.api.limiter_process", redis_url]
    command += [str(limit), str(HOUR_MS), str(asked)]
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
        allowed = sum(int(process.communicate("\n", WAIT_SECONDS)[0]) for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    refill = (time.monotonic() - began) * limit * 1000 / HOUR_MS
    assert limit <= allowed <= limit + refill + 1


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, token_bucket.MAX_LIMIT),
    st.sampled_from([1_000, 60_000, HOUR_MS]),
    st.floats(0, 1),
    st.integers(1, 10_000),
)
def test_script_computes_what_the_bucket_does(
    redis_url: str, limit: int, window: int, part: float, wanted: int
) -> None:
    quota = Quota("q", limit, window)
    before = int(quota.capacity * part)
    connection = redis.Redis.from_url(redis_url)
    script = connection.register_script(SCRIPT)
    seconds, micros = connection.time()
    then = seconds * 1000 + micros // 1000
    connection.set("limit:script", f"{before}:{then}")
    granted, debt = script(keys=["limit:script"], args=[limit, window, wanted])
    stored = cast(bytes | None, connection.get("limit:script"))
    # How much time passed for the script is between nothing and what has passed now.
    seconds, micros = connection.time()
    most = token_bucket.take(quota, before, seconds * 1000 + micros // 1000 - then, wanted)
    least = token_bucket.take(quota, before, 0, wanted)
    assert least.granted <= granted <= most.granted
    if stored is not None and granted:
        text, at = stored.decode().split(":")
        exact = token_bucket.take(quota, before, int(at) - then, wanted)
        assert (granted, debt) == (exact.granted, exact.debt)
        assert int(text) == debt


class Redis:
    """A Redis that can be killed, frozen and started again on its port."""

    def __init__(self, home: Path) -> None:
        program = find_server()
        self.server = RedisServer(home=home, port=free_port(), password="password", program=program)
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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.mark.process
def test_killed_redis_is_replaced_by_the_process_and_used_again(tmp_path: Path) -> None:
    quota = Quota("q", 10, HOUR_MS)

    async def scenario(server: Redis) -> None:
        buckets = RedisBuckets(server.server.url())
        limiter = Limiter(buckets)
        async with limiter.running():
            await until(lambda: buckets.is_connected)
            for _ in range(4):
                assert (await limiter.take(quota, "a")).is_allowed
            server.kill()
            await until(lambda: not buckets.is_connected)
            # The bucket goes on from where Redis left it.
            here = [await limiter.take(quota, "a") for _ in range(8)]
            assert [one.is_allowed for one in here] == [True] * 6 + [False] * 2
            assert (await limiter.take(quota, "b")).remaining == 9
            server.start()
            await until(lambda: buckets.is_connected)
            # Counted in Redis again: another process sees what this one takes.
            assert (await limiter.take(quota, "c")).remaining == 9
            other_buckets = RedisBuckets(server.server.url())
            other = Limiter(other_buckets)
            async with other.running():
                await until(lambda: other_buckets.is_connected)
                assert (await other.take(quota, "c")).remaining == 8

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
                frozen = await asyncio.gather(*(limiter.take(quota, "a") for _ in range(8)))
            assert sum(one.is_allowed for one in frozen) == 5
            assert not buckets.is_connected
            server.signal(signal.SIGCONT)
            await until(lambda: buckets.is_connected)

    with redis_in(tmp_path) as server:
        asyncio.run(scenario(server))


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
            assert (await limiter.take(quota, "a")).remaining == 2
            connection.script_flush()
            assert (await limiter.take(quota, "a")).remaining == 1, "decided here"
            await until(lambda: buckets.is_connected)
            assert (await limiter.take(quota, "b")).remaining == 2
            assert connection.get("limit:q:b") is not None

    with redis_in(tmp_path) as server:
        asyncio.run(scenario(server))


def test_requests_of_one_turn_share_a_call_and_see_their_own_tokens(redis_url: str) -> None:
    quota = Quota("turn", 3, HOUR_MS)
    redis.Redis.from_url(redis_url).delete("limit:turn:a", "limit:turn:b")

    async def scenario() -> list[tuple[bool, int]]:
        buckets = RedisBuckets(redis_url)
        limiter = Limiter(buckets)
        async with limiter.running():
            await until(lambda: buckets.is_connected)
            taken = await asyncio.gather(*(limiter.take(quota, name) for name in "aababa"))
        return [(one.is_allowed, one.remaining) for one in taken]

    found = asyncio.run(scenario())
    assert found == [(True, 2), (True, 1), (True, 2), (True, 0), (True, 1), (False, 0)]


def test_known_empty_bucket_is_refused_without_redis() -> None:
    now = [0]
    limiter = Limiter(None, clock_ms=lambda: now[0])
    quota = Quota("q", 2)

    async def scenario() -> None:
        assert [(await limiter.take(quota, "a")).is_allowed for _ in range(3)] == [
            True,
            True,
            False,
        ]
        refused = await limiter.take(quota, "a")
        assert (refused.retry_seconds, refused.full_seconds) == (30, 60)
        now[0] += 29_999
        assert not (await limiter.take(quota, "a")).is_allowed
        now[0] += 1
        assert (await limiter.take(quota, "a")).is_allowed

    asyncio.run(scenario())
