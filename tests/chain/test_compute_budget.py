"""What a transaction's compute units cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.chain import compute_budget


@pytest.mark.parametrize(
    ("used", "limit"),
    [
        (0, 20_000),
        (17_391, 20_000),
        (17_392, 20_001),
        (100_000, 115_000),
        (1_300_000, 1_400_000),
    ],
)
def test_compute_limit(used: int, limit: int) -> None:
    assert compute_budget.compute_limit(used) == limit


@pytest.mark.parametrize(
    ("recent", "price"),
    [
        ([], 1_000),
        ([0] * 150, 1_000),
        ([0, 0, 0, 9_000], 1_000),
        ([0, 9_000, 9_000, 9_000], 9_000),
        ([5_000, 1, 2, 3, 4], 1_000),
        ([4_000, 8_000, 2_000, 6_000], 6_000),
        ([3_000], 3_000),
        ([10**9] * 4, 50_000),
    ],
)
def test_price_is_the_75th_percentile_within_limits(recent: list[int], price: int) -> None:
    assert compute_budget.unit_price(recent, cap=50_000) == price


@given(st.integers(20_000, 1_400_000), st.integers(5_000, 10_000_000))
def test_transaction_fee_stays_within_the_limit(units: int, most: int) -> None:
    price = compute_budget.affordable_price(units, most)
    assert compute_budget.fee(units, price) <= most < compute_budget.fee(units, price + 1)
    assert compute_budget.unit_price([10**12], price) == price


def test_fee_rounds_up() -> None:
    assert compute_budget.fee(20_000, 1_000) == 5_020
    assert compute_budget.fee(1, 1) == 5_001


@pytest.mark.parametrize(
    ("percentile", "price"), [(0, 1_001), (1, 1_001), (50, 1_002), (51, 1_003), (100, 1_004)]
)
def test_price_is_of_the_percentile(percentile: int, price: int) -> None:
    recent = [1_003, 1_001, 1_004, 1_002]
    assert compute_budget.unit_price(recent, 50_000, percentile) == price
