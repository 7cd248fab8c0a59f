"""The token bucket: no window holds more than its burst and its rate, and holds hold all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.chain.rate_limiter import RateLimiter


@given(
    rate=st.sampled_from([0.5, 1.0, 4.0, 50.0]),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_no_window_holds_more_than_its_rate_and_one_burst(
    rate: float, burst: int, gaps: list[float]
) -> None:
    now = 0.0
    limiter = RateLimiter(rate, burst, clock=lambda: now)
    turns = []
    for gap in gaps:
        now += gap
        wait = limiter.acquire(1e9)
        assert wait is not None
        turns.append(now + wait)
    assert turns == sorted(turns)
    for start in range(len(turns)):
        for end in range(start, len(turns)):
            allowed = burst + (turns[end] - turns[start]) * rate
            assert end - start + 1 <= allowed + 1e-6


def test_a_burst_then_the_rate_then_a_burst_again() -> None:
    now = 0.0
    limiter = RateLimiter(2, 3, clock=lambda: now)
    assert [limiter.acquire(9) for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    now = 100.0
    assert [limiter.acquire(9) for _ in range(4)] == [0, 0, 0, 0.5]


def test_wait_and_a_refused_acquire_consume_nothing() -> None:
    limiter = RateLimiter(1, 1, clock=lambda: 0.0)
    assert limiter.wait() == limiter.wait() == 0
    assert limiter.acquire(0) == 0
    assert limiter.acquire(0.9) is None
    assert limiter.wait() == 1
    assert limiter.acquire(1) == 1


def test_longest_pause_applies_to_all() -> None:
    now = 0.0
    limiter = RateLimiter(None, clock=lambda: now)
    limiter.pause(30)
    limiter.pause(5)
    assert limiter.acquire(29) is None
    now = 30.0
    assert [limiter.acquire(0) for _ in range(100)] == [0] * 100


def test_threads_share_it() -> None:
    limiter = RateLimiter(1, 1, clock=lambda: 0.0)
    with ThreadPoolExecutor(8) as pool:
        turns = sorted(pool.map(lambda _: limiter.acquire(1e9), range(400)))  # type: ignore[type-var]
    assert turns == [float(number) for number in range(400)]


@pytest.mark.parametrize("rate", [0, -1])
def test_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        RateLimiter(rate)
