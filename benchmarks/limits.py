"""The limiter of requests: exact over four processes, and what a request costs in it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import redis

from benchmarks.rows import Row
from tests.fixtures.redis import running_redis

GOAL: Final = 0.0
PROCESSES: Final = 4
LIMIT: Final = 1_000
MINUTE_MS: Final = 60_000
# A limit that is never reached, so that every request is decided in Redis.
UNREACHED: Final = 1_000_000
_PROJECT: Final = Path(__file__).parents[1]
_WAIT_SECONDS: Final = 300


class _Round(NamedTuple):
    """What four processes did together; times in seconds, processor time in nanoseconds."""

    asked: int
    admitted: int
    seconds: float
    process_ns: int
    redis_ns: int

    def deviation(self, limit: int) -> float:
        """Return by how many requests more were admitted than allowed, or fewer than the limit."""
        most = limit + self.seconds * limit * 1000 / MINUTE_MS
        return max(0.0, self.admitted - most, limit - self.admitted)

    def cost(self) -> str:
        """Return the microseconds of a request, in the process and in Redis."""
        return (
            f"{self.process_ns / self.asked / 1000:.1f} + {self.redis_ns / self.asked / 1000:.1f}"
        )


def limit_exactness(quick: bool) -> Row:
    """Measure how far from its limit a bucket is that four processes use as fast as they can."""
    rounds, asked = (2, 4_000) if quick else (5, 40_000)
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        url = server.url()
        exact = [_round(url, LIMIT, asked, buckets=1) for _ in range(rounds)]
        both = [_round(url, LIMIT, asked, buckets=2) for _ in range(rounds)]
        one, two = (
            [_round(url, UNREACHED, asked, buckets=buckets) for _ in range(rounds)]
            for buckets in (1, 2)
        )
    value = max(one_round.deviation(LIMIT) for one_round in (*exact, *both))
    shown = exact[-1]
    most = LIMIT + shown.seconds * LIMIT * 1000 / MINUTE_MS
    text = (
        f"{PROCESSES} processes, {rounds} rounds with one bucket and {rounds} with two; the last"
        f" with one: {shown.admitted} of {shown.asked} admitted in {shown.seconds:.2f} s,"
        f" limit + refill {most:.1f}; a request costs process + Redis {_median(one)} µs with one"
        f" bucket, {_median(two)} µs with two, {_median(exact)} µs where most are refused"
        " (processor time, ten requests a turn of the event loop)"
    )
    return Row("limit_exactness", round(value, 2), "requests off", GOAL, text, value <= GOAL)


def _median(rounds: list[_Round]) -> str:
    ordered = sorted(rounds, key=lambda one: one.process_ns + one.redis_ns)
    return ordered[len(ordered) // 2].cost()


def _round(url: str, limit: int, asked: int, *, buckets: int) -> _Round:
    connection = redis.Redis.from_url(url)
    connection.flushall()
    command = [sys.executable, "-m", "tests.api.limiter_process", url]
    command += [str(number) for number in (limit, MINUTE_MS, asked // PROCESSES, buckets)]
    with _processes(command) as processes:
        before, began = _spent(connection), time.monotonic()
        for process in processes:
            start = cast(IO[str], process.stdin)
            start.write("\n")
            start.flush()
        answers = [process.communicate(timeout=_WAIT_SECONDS)[0].split() for process in processes]
        seconds = time.monotonic() - began
        after = _spent(connection)
    connection.close()
    return _Round(
        asked=asked,
        admitted=sum(int(answer[0]) for answer in answers),
        seconds=seconds,
        process_ns=sum(int(answer[1]) for answer in answers),
        redis_ns=after - before,
    )


@contextmanager
def _processes(command: list[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are connected and wait for a line of input."""
    started = [
        subprocess.Popen(
            command, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in started:
            cast(IO[str], process.stdout).readline()
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def _spent(connection: redis.Redis) -> int:
    """Return the processor time of Redis in nanoseconds."""
    found = cast(dict[str, float], connection.info("cpu"))
    return int((found["used_cpu_user"] + found["used_cpu_sys"]) * 1e9)
