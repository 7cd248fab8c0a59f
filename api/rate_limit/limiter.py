"""The limiter of one process: exact over all processes while Redis answers, else for this one.

What Redis last said of a bucket is kept. It serves three times: a client whose bucket is known to
be empty is refused without asking, because other processes can only have emptied it further; where
Redis goes away, buckets go on from there instead of starting full; and where Redis comes back
without its data, each call states the least that the buckets lack.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

from api.rate_limit import token_bucket
from api.rate_limit.redis_buckets import ANSWER_SECONDS, Bucket, Granted, Group, RedisBuckets
from api.rate_limit.token_bucket import Quota

# Buckets that a process remembers; the longest unused are forgotten first.
MAX_BUCKETS: Final = 50_000
# While Redis is away, a bucket that this process does not know starts with this part of its tokens
# missing: the other processes count the same client apart.
OUTAGE_SHARE: Final = 2
_PREFIX: Final = "limit"
# Two clocks that are read in whole milliseconds differ by less than this.
_ROUNDING_MS: Final = 2
# A call reaches Redis within this time, or counts as lost.
_TRANSIT_MS: Final = int(ANSWER_SECONDS * 1000) + _ROUNDING_MS


class Charge(NamedTuple):
    """A token that a request takes from the client's bucket of this quota."""

    quota: Quota
    client: str


class BucketState(NamedTuple):
    """A bucket after a request.

    Attributes:
        remaining: Whole tokens left.
        next_seconds: Seconds until there is one more, rounded up.
        is_short: Whether it lacked the token for this request.
    """

    quota: Quota
    remaining: int
    next_seconds: int
    is_short: bool = False


class Decision(NamedTuple):
    """Whether a request may pass: whether each of its buckets had a token.

    Attributes:
        states: The buckets that are known, in the order of the charges; all of them where it may.
    """

    is_allowed: bool
    states: tuple[BucketState, ...]

    @property
    def decisive(self) -> BucketState:
        """The bucket that lets the client wait longest for what it lacked."""
        return max(
            (state for state in self.states if state.is_short), key=lambda one: one.next_seconds
        )


class _Known(NamedTuple):
    """A bucket's debt at a time (milliseconds of the process's clock), or later."""

    debt: int
    at: int


class _Waiting(NamedTuple):
    """The requests of a turn of the event loop that take from the same buckets."""

    quotas: tuple[Quota, ...]
    requests: list[asyncio.Future[Decision]]


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
        self._known: OrderedDict[str, _Known] = OrderedDict()
        # What was asked in this turn of the event loop, by the keys of the buckets.
        self._asked: dict[tuple[str, ...], _Waiting] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep a connection to Redis until the block ends."""
        if self._redis is None:
            yield
            return
        async with self._redis.running():
            yield

    async def take(self, *charges: Charge) -> Decision:
        """Take a token for each charge, or none where any bucket lacks it."""
        keys = tuple([f"{_PREFIX}:{quota.name}:{client}" for quota, client in charges])
        quotas = tuple([quota for quota, _ in charges])
        refusal = self._known_refusal(keys, quotas)
        if refusal is not None:
            return refusal
        if self._redis is None or not self._redis.is_connected:
            return self._take_here(keys, quotas)
        loop = asyncio.get_running_loop()
        decided: asyncio.Future[Decision] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._flush)
        waiting = self._asked.get(keys)
        if waiting is None:
            waiting = self._asked[keys] = _Waiting(quotas, [])
        waiting.requests.append(decided)
        return await decided

    def _known_refusal(self, keys: Sequence[str], quotas: Sequence[Quota]) -> Decision | None:
        """Return the refusal of a request of which some bucket is known to be empty."""
        now = self._clock_ms() + _ROUNDING_MS
        debts: list[tuple[Quota, int]] = []
        is_empty = False
        for key, quota in zip(keys, quotas, strict=True):
            known = self._known.get(key)
            if known is not None:
                debt = token_bucket.remaining_debt(quota, known.debt, now - known.at)
                debts.append((quota, debt))
                is_empty = is_empty or debt + quota.window_ms > quota.capacity
        return _refused(debts) if is_empty else None

    def _take_here(self, keys: Sequence[str], quotas: Sequence[Quota]) -> Decision:
        now = self._clock_ms()
        debts = [
            (quota, self._debt_here(key, quota, now))
            for key, quota in zip(keys, quotas, strict=True)
        ]
        is_allowed = all(token_bucket.remaining(quota, debt) for quota, debt in debts)
        if not is_allowed:
            return _refused(debts)
        taken = [(quota, debt + quota.window_ms) for quota, debt in debts]
        for key, (_, debt) in zip(keys, taken, strict=True):
            self._remember(key, debt, now)
        return _allowed(taken)

    def _debt_here(self, key: str, quota: Quota, now: int) -> int:
        known = self._known.get(key)
        if known is not None:
            return token_bucket.remaining_debt(quota, known.debt, now - known.at)
        return quota.limit // OUTAGE_SHARE * quota.window_ms if self._redis is not None else 0

    def _remember(self, key: str, debt: int, at: int) -> None:
        self._known[key] = _Known(debt, at)
        self._known.move_to_end(key)
        if len(self._known) > MAX_BUCKETS:
            self._known.popitem(last=False)

    def _flush(self) -> None:
        """Send what was asked in this turn of the event loop."""
        asked, self._asked = self._asked, {}
        sent_at = self._clock_ms()

        def answer(results: Sequence[Granted] | None) -> None:
            if results is None:
                self._decide_here(asked)
                return
            for (keys, waiting), granted in zip(asked.items(), results, strict=True):
                # As of the sending, before Redis decided: so what is left of the debt later is
                # never taken for more than it is.
                for key, debt in zip(keys, granted.debts, strict=True):
                    self._remember(key, debt, sent_at)
                _settle(waiting, granted)

        if self._redis is None:
            self._decide_here(asked)
        else:
            self._redis.take(
                [self._group(keys, waiting, sent_at) for keys, waiting in asked.items()], answer
            )

    def _group(self, keys: Sequence[str], waiting: _Waiting, now: int) -> Group:
        return Group(
            [
                Bucket(key, quota, self._least_debt(key, quota, now))
                for key, quota in zip(keys, waiting.quotas, strict=True)
            ],
            len(waiting.requests),
        )

    def _least_debt(self, key: str, quota: Quota, now: int) -> int:
        """Return the debt that the bucket has at least when a call that is sent now arrives."""
        known = self._known.get(key)
        if known is None:
            return 0
        return token_bucket.remaining_debt(quota, known.debt, now - known.at + _TRANSIT_MS)

    def _decide_here(self, asked: dict[tuple[str, ...], _Waiting]) -> None:
        for keys, waiting in asked.items():
            for decided in waiting.requests:
                if not decided.done():
                    decided.set_result(self._take_here(keys, waiting.quotas))


def _settle(waiting: _Waiting, granted: Granted) -> None:
    """Give the granted tokens to the first requests; each sees the buckets as it left them."""
    for number, decided in enumerate(waiting.requests, 1):
        if decided.done():
            continue
        later = max(0, granted.requests - number)
        debts = [
            (quota, debt - later * quota.window_ms)
            for quota, debt in zip(waiting.quotas, granted.debts, strict=True)
        ]
        decided.set_result(_allowed(debts) if number <= granted.requests else _refused(debts))


def _allowed(debts: Sequence[tuple[Quota, int]]) -> Decision:
    return Decision(True, tuple([_state(quota, debt) for quota, debt in debts]))


def _refused(debts: Sequence[tuple[Quota, int]]) -> Decision:
    return Decision(
        False,
        tuple(
            [
                _state(quota, debt, is_short=not token_bucket.remaining(quota, debt))
                for quota, debt in debts
            ]
        ),
    )


def _state(quota: Quota, debt: int, *, is_short: bool = False) -> BucketState:
    return BucketState(
        quota,
        token_bucket.remaining(quota, debt),
        -(-token_bucket.next_token_ms(quota, debt) // 1000),
        is_short,
    )
