"""The limiter of one process: exact over all processes while Redis answers, else for this one.

What Redis last said of a bucket is kept. It serves twice: a client whose bucket is known to be
empty is refused without asking, because other processes can only have emptied it further; and
where Redis goes away, buckets go on from there instead of starting full.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from api.rate_limit import token_bucket
from api.rate_limit.redis_buckets import Entry, RedisBuckets
from api.rate_limit.token_bucket import Quota, Taken

# Buckets that a process remembers; the longest unused are forgotten first.
MAX_BUCKETS: Final = 50_000
_PREFIX: Final = "limit"


class Decision(msgspec.Struct, frozen=True):
    """Whether a request may pass, and the state of its bucket after it.

    Attributes:
        quota: The quota that decided.
        is_allowed: Whether a token was taken.
        remaining: Whole tokens left.
        retry_seconds: Seconds until there is a token, rounded up; 0 where there is one.
        full_seconds: Seconds until the bucket is full, rounded up.
    """

    quota: Quota
    is_allowed: bool
    remaining: int
    retry_seconds: int
    full_seconds: int


class _Bucket:
    """A bucket's debt at a time (milliseconds of the process's clock)."""

    __slots__ = ("at", "debt")

    def __init__(self, debt: int, at: int) -> None:
        self.debt = debt
        self.at = at


class Limiter:
    """Takes tokens for the requests of one event loop."""

    def __init__(
        self,
        redis: RedisBuckets | None,
        *,
        clock_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        """Count in ``redis``; None counts in this process alone."""
        self._redis = redis
        self._clock_ms = clock_ms
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        # The requests of this turn of the event loop, by bucket.
        self._asked: dict[str, tuple[Quota, list[asyncio.Future[Decision]]]] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep a connection to Redis until the block ends."""
        if self._redis is None:
            yield
            return
        async with self._redis.running():
            yield

    async def take(self, quota: Quota, client: str) -> Decision:
        """Take one token from the client's bucket of this quota."""
        key = f"{_PREFIX}:{quota.name}:{client}"
        refusal = self._known_refusal(key, quota)
        if refusal is not None:
            return refusal
        if self._redis is None or not self._redis.is_connected:
            return self._take_here(key, quota)
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._flush)
        self._asked.setdefault(key, (quota, []))[1].append(decided)
        return await decided

    def _known_refusal(self, key: str, quota: Quota) -> Decision | None:
        bucket = self._buckets.get(key)
        if bucket is None:
            return None
        asked = token_bucket.take(quota, bucket.debt, self._clock_ms() - bucket.at)
        return None if asked.granted else _decision(quota, asked.debt, is_allowed=False)

    def _take_here(self, key: str, quota: Quota) -> Decision:
        bucket, now = self._buckets.get(key), self._clock_ms()
        debt, elapsed = (bucket.debt, now - bucket.at) if bucket is not None else (0, 0)
        taken = token_bucket.take(quota, debt, elapsed)
        self._remember(key, taken.debt, now)
        return _decision(quota, taken.debt, is_allowed=taken.granted > 0)

    def _remember(self, key: str, debt: int, now: int) -> None:
        self._buckets[key] = _Bucket(debt, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def _flush(self) -> None:
        """Send what was asked in this turn of the event loop."""
        asked, self._asked = self._asked, {}
        entries = [Entry(key, quota, len(waiting)) for key, (quota, waiting) in asked.items()]

        def answer(results: Sequence[Taken] | None) -> None:
            if results is None:
                self._decide_here(asked)
                return
            now = self._clock_ms()
            for entry, taken in zip(entries, results, strict=True):
                self._remember(entry.key, taken.debt, now)
                _settle(entry.quota, taken, asked[entry.key][1])

        if self._redis is None:
            self._decide_here(asked)
        else:
            self._redis.take(entries, answer)

    def _decide_here(self, asked: dict[str, tuple[Quota, list[asyncio.Future[Decision]]]]) -> None:
        for key, (quota, waiting) in asked.items():
            for decided in waiting:
                if not decided.done():
                    decided.set_result(self._take_here(key, quota))


def _settle(quota: Quota, taken: Taken, waiting: Sequence[asyncio.Future[Decision]]) -> None:
    """Give the granted tokens to the first requests; each sees the bucket as it left it."""
    for number, decided in enumerate(waiting, 1):
        later = max(0, taken.granted - number)
        if not decided.done():
            debt = taken.debt - later * quota.window_ms
            decided.set_result(_decision(quota, debt, is_allowed=number <= taken.granted))


def _decision(quota: Quota, debt: int, *, is_allowed: bool) -> Decision:
    return Decision(
        quota,
        is_allowed,
        token_bucket.remaining(quota, debt),
        math.ceil(token_bucket.wait_ms(quota, debt) / 1000),
        math.ceil(token_bucket.full_ms(quota, debt) / 1000),
    )
