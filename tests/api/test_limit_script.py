"""The script that decides in Redis, against the arithmetic of the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.rate_limit import token_bucket
from api.rate_limit.redis_buckets import SCRIPT
from api.rate_limit.token_bucket import MINUTE_MS, Quota

HOUR_MS = 3_600_000


class Script:
    """The script on a real Redis."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self._script = self.redis.register_script(SCRIPT)

    def now(self) -> int:
        """Milliseconds of Redis's clock."""
        seconds, micros = cast(tuple[int, int], self.redis.time())
        return seconds * 1000 + micros // 1000

    def put(self, key: str, debt: int, at: int) -> None:
        self.redis.set(f"limit:script:{key}", f"{debt}:{at}")

    def stored(self, key: str) -> tuple[int, int] | None:
        text = cast(bytes | None, self.redis.get(f"limit:script:{key}"))
        if text is None:
            return None
        debt, at = text.decode().split(":")
        return int(debt), int(at)

    def run(self, *groups: tuple[int, list[tuple[str, Quota, int]]]) -> list[int]:
        """Run it for groups of (wanted, [(key, quota, least debt)])."""
        keys, arguments = [], []
        for wanted, buckets in groups:
            arguments += [len(buckets), wanted]
            for key, quota, least in buckets:
                keys.append(f"limit:script:{key}")
                arguments += [quota.limit, quota.window_ms, least]
        return cast(list[int], self._script(keys=cast(Any, keys), args=cast(Any, arguments)))


@pytest.fixture
def script(redis_url: str) -> Iterator[Script]:
    made = Script(redis_url)
    for key in made.redis.scan_iter("limit:script:*"):
        made.redis.delete(key)
    yield made
    made.redis.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, token_bucket.MAX_LIMIT),
    st.sampled_from([1_000, 60_000, HOUR_MS, token_bucket.DAY_MS]),
    st.floats(0, 2),
    st.floats(0, 1),
    st.integers(1, 10_000),
)
def test_script_computes_what_the_bucket_does(
    script: Script, limit: int, window: int, part: float, least_part: float, wanted: int
) -> None:
    quota = Quota("q", limit, window)
    before, least = int(quota.capacity * part), int(quota.capacity * least_part)
    then = script.now()
    script.put("one", before, then)
    granted, debt = script.run((wanted, [("one", quota, least)]))
    stored = script.stored("one")
    if stored is None:  # the bucket is full again meanwhile
        return
    left = max(least, token_bucket.remaining_debt(quota, before, stored[1] - then))
    exact = token_bucket.take(quota, left, 0, wanted)
    assert (granted, debt) == (exact.granted, exact.debt)
    assert stored[0] == debt < 2**53


def test_groups_share_buckets_in_their_order(script: Script) -> None:
    large, small = Quota("large", 5, HOUR_MS), Quota("small", 2, HOUR_MS)
    granted = script.run(
        (3, [("large", large, 0), ("small", small, 0)]), (4, [("large", large, 0)])
    )
    assert [granted[0], granted[3]] == [2, 3]
    assert granted[1:3] == [2 * HOUR_MS, 2 * HOUR_MS]
    assert granted[4] == 5 * HOUR_MS
    assert script.run((1, [("small", small, 0), ("large", large, 0)]))[0] == 0


def test_clock_of_redis_that_went_back_costs_one_window_at_most(script: Script) -> None:
    """A bucket from the future: it gains from now on, not only when its time has come."""
    quota = Quota("q", 10)
    ahead = script.now() + HOUR_MS
    script.put("ahead", quota.capacity, ahead)
    assert script.run((1, [("ahead", quota, 0)]))[0] == 0
    debt, at = script.stored("ahead") or (0, ahead)
    assert debt == quota.capacity
    assert at < ahead
    assert 0 < cast(int, script.redis.pttl("limit:script:ahead")) <= MINUTE_MS + 1


def test_clock_of_redis_that_jumped_ahead_gives_nothing_to_who_is_known(script: Script) -> None:
    """An hour passed for Redis alone: the process that knows the bucket still has its debt."""
    quota = Quota("q", 10)
    script.put("jumped", quota.capacity, script.now() - HOUR_MS)
    granted, debt = script.run((5, [("jumped", quota, quota.capacity - quota.window_ms)]))
    assert (granted, debt) == (1, quota.capacity)


def test_lost_data_is_made_up_for(script: Script) -> None:
    quota = Quota("q", 10)
    assert script.run((1, [("lost", quota, quota.capacity)])) == [0, quota.capacity]
    # Kept, so that processes that did not know it see it as well.
    assert script.run((1, [("lost", quota, 0)]))[0] == 0


def test_lowered_limit_costs_one_window_at_most(script: Script) -> None:
    high, low = Quota("q", 1000, HOUR_MS), Quota("q", 10, HOUR_MS)
    script.put("lowered", high.capacity, script.now())
    granted, debt = script.run((1, [("lowered", low, 0)]))
    assert granted == 0
    assert debt <= low.capacity
