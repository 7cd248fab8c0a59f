"""Payouts against figures of whole markets: three buyers, three sizes of liquidity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.program.strategies import u64
from zmart_pipelines.program.lmsr import PRECISION, Fees, Fill, Pool, buy
from zmart_pipelines.program.payout import claim_amount, rent_minimum

SOL = PRECISION
FEES = Fees(300, 200, 500)
Trades = list[tuple[bool, int]]
TWO: Trades = [(True, SOL), (False, SOL // 2)]
THREE: Trades = [*TWO, (True, 2 * SOL)]


def claims(trades: Trades, initial_liquidity: int, outcome: bool | None) -> list[int]:
    """What each buyer can claim when the market ends after these buys."""
    pool, liquidity = Pool.fresh(100 * SOL), initial_liquidity
    fills: list[tuple[bool, Fill]] = []
    for side, target in trades:
        fill = buy(pool, side, target, FEES)
        pool = pool.moved(side, fill.shares)
        liquidity += fill.resolver_fee + fill.lp_fee
        fills.append((side, fill))
    return [
        claim_amount(
            outcome,
            shares_yes=fill.shares if side else 0,
            shares_no=0 if side else fill.shares,
            total_invested=fill.total,
            market_shares_yes=pool.shares_yes,
            market_shares_no=pool.shares_no,
            current_liquidity=liquidity,
        )
        for side, fill in fills
    ]


def test_rent() -> None:
    sizes = {206: 2324640, 488: 4287360, 182: 2157600, 83: 1468560}
    assert {size: rent_minimum(size) for size in sizes} == sizes


def test_two_buyers() -> None:
    assert claims(TWO, SOL // 10, True) == [185350052, 0]


@pytest.mark.parametrize(
    ("liquidity", "yes_wins", "no_wins"),
    [
        (1, [74081784, 0, 144584553], [0, 200792598, 0]),
        (SOL // 10, [107346816, 0, 209507525], [0, 290954735, 0]),
        (SOL, [406732099, 0, 793814283], [0, 1102413977, 0]),
    ],
)
def test_three_buyers(liquidity: int, yes_wins: list[int], no_wins: list[int]) -> None:
    assert claims(THREE, liquidity, True) == yes_wins
    assert claims(THREE, liquidity, False) == no_wins
    refunds = claims(THREE, liquidity, None)
    assert refunds[:2] == [999928380, 499942740]


@given(u64, u64, u64, u64, st.booleans())
def test_all_winners_together_get_at_most_the_liquidity(
    first: int, second: int, nobodys: int, liquidity: int, outcome: bool
) -> None:
    outstanding = first + second + nobodys
    total = 0
    for held in (first, second):
        total += claim_amount(
            outcome,
            shares_yes=held if outcome else 1,
            shares_no=1 if outcome else held,
            total_invested=7,
            market_shares_yes=outstanding if outcome else 1,
            market_shares_no=1 if outcome else outstanding,
            current_liquidity=liquidity,
        )
    assert total <= liquidity
