"""The arithmetic of the token bucket, against a bucket of exact fractions."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from api.rate_limit import token_bucket
from api.rate_limit.token_bucket import MAX_LIMIT, Quota

quotas = st.builds(
    Quota, st.just("q"), st.integers(1, MAX_LIMIT), st.sampled_from([1_000, 60_000, 3_600_000])
)
steps = st.lists(st.tuples(st.integers(-1_000, 120_000), st.integers(1, 500)), max_size=30)


@given(quotas, steps)
def test_grants_are_those_of_a_bucket_of_fractions(
    quota: Quota, steps: list[tuple[int, int]]
) -> None:
    tokens, rate = Fraction(quota.limit), Fraction(quota.limit, quota.window_ms)
    debt = 0
    for elapsed, wanted in steps:
        taken = token_bucket.take(quota, debt, elapsed, wanted)
        tokens = min(Fraction(quota.limit), tokens + max(0, elapsed) * rate)
        assert taken.granted == min(wanted, int(tokens))
        tokens -= taken.granted
        debt = taken.debt
        assert token_bucket.remaining(quota, debt) == int(tokens)
        # The script computes with doubles.
        assert 0 <= debt <= quota.capacity < 2**53


@given(quotas, steps)
def test_never_more_than_the_limit_and_the_refill(
    quota: Quota, steps: list[tuple[int, int]]
) -> None:
    debt, granted, elapsed = 0, 0, 0
    for pause, wanted in steps:
        taken = token_bucket.take(quota, debt, pause, wanted)
        debt, granted, elapsed = taken.debt, granted + taken.granted, elapsed + max(0, pause)
    assert granted <= quota.limit + elapsed * quota.limit // quota.window_ms


@given(quotas, st.integers(0, 2**52))
def test_next_token_comes_after_the_stated_time_and_not_before(quota: Quota, debt: int) -> None:
    debt = min(debt, quota.capacity)
    before, wait = token_bucket.remaining(quota, debt), token_bucket.next_token_ms(quota, debt)
    after = token_bucket.remaining_debt(quota, debt, wait)
    assert token_bucket.remaining(quota, after) >= min(quota.limit, before + 1)
    if wait:
        almost = token_bucket.remaining_debt(quota, debt, wait - 1)
        assert token_bucket.remaining(quota, almost) == before
    else:
        assert debt == 0


def test_burst_is_the_limit() -> None:
    quota = Quota("q", 100)
    assert token_bucket.take(quota, 0, 0, 150).granted == 100
    paced = token_bucket.take(quota, quota.capacity, 600)
    assert paced.granted == 1, "a client that paces at the limit is never refused"


def test_bucket_of_a_lowered_limit_is_empty_for_one_window() -> None:
    low, debt = Quota("q", 10), Quota("q", 100).capacity
    assert token_bucket.take(low, debt, 0).granted == 0
    assert token_bucket.take(low, debt, low.window_ms, 10).granted == 10
