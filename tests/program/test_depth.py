"""Ladders of the market maker's curve."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.program import lmsr
from zmart_pipelines.program.depth import Level, ladder
from zmart_pipelines.program.lmsr import PRECISION, Fees, FeeSplit, LmsrError, Pool, split_fees
from zmart_pipelines.program.quotes import sellable

SOL = PRECISION
FEES = Fees(300, 200, 500)
STEP = 10_000_000
pools = st.builds(
    lambda b, yes, no: Pool.fresh(b).moved(True, yes * b // 10**6).moved(False, no * b // 10**6),
    st.integers(100 * SOL, 10**6 * SOL),
    st.integers(0, 4 * 10**6),
    st.integers(0, 4 * 10**6),
)


def price(pool: Pool, outcome: bool) -> int:
    return lmsr.price_yes(pool) if outcome else PRECISION - lmsr.price_yes(pool)


def test_levels_of_a_pool_of_1000_sol() -> None:
    """0.525 is 100 shares away from a balanced pool of 1000 SOL (price 0.524979183), and a bit."""
    pool = Pool(1000 * SOL, 100 * SOL, 100 * SOL)
    found = ladder(pool, True, FEES, step=25_000_000, levels=2)
    first, second = found.asks
    assert (first.price, second.price) == (525_000_000, 550_000_000)
    assert 100 * SOL < first.shares < 101 * SOL
    assert first.size == first.shares
    assert second.size == second.shares - first.shares
    assert first.price_after == 525_000_000
    assert first.amount == lmsr.cost(pool.moved(True, first.shares)) - lmsr.cost(pool)
    assert first.fees == split_fees(first.amount, FEES)
    assert first.total == first.amount + first.amount // 10
    # What wallets hold is 99 shares more than the pool's own: not enough to reach 0.475.
    assert found.bids == []
    nearer = ladder(pool, True, FEES, step=STEP, levels=50)
    assert [level.price for level in nearer.bids] == [490_000_000, 480_000_000]
    assert nearer.bids[0].total == nearer.bids[0].amount - nearer.bids[0].fees.total


def test_ladder_ends_where_the_price_turns_back() -> None:
    asks = ladder(Pool.fresh(100 * SOL), True, FEES, step=STEP, levels=100).asks
    assert [level.price for level in asks] == list(range(510_000_000, 940_000_000, STEP))
    assert ladder(Pool.fresh(100 * SOL), True, FEES, step=STEP, levels=100).bids == []
    leading = Pool.fresh(100 * SOL).moved(True, 400 * SOL)
    assert ladder(leading, True, FEES, step=STEP, levels=100).asks == []


def test_pool_without_a_price_has_no_ladder() -> None:
    with pytest.raises(LmsrError):
        ladder(Pool.fresh(SOL), True, FEES, step=STEP, levels=1)
    free = ladder(Pool.fresh(100 * SOL), True, Fees(0, 0, 0), step=STEP, levels=1)
    assert free.asks == [], "without a fee the program cannot divide it"


@given(pools, st.booleans(), st.integers(1, 25))
def test_levels_are_the_first_to_reach_their_price(pool: Pool, outcome: bool, levels: int) -> None:
    found = ladder(pool, outcome, FEES, step=STEP, levels=levels)
    for sign, rungs in ((1, found.asks), (-1, found.bids)):
        assert len(rungs) <= levels
        for level in rungs:
            assert level.price % STEP == 0
            check(pool, outcome, level, sign)
        for nearer, further in pairwise(rungs):
            assert sign * (further.price - nearer.price) > 0
            assert further.shares - nearer.shares == further.size > 0
            assert further.amount >= nearer.amount
    assert all(level.shares <= sellable(pool, outcome) for level in found.bids)


def check(pool: Pool, outcome: bool, level: Level, sign: int) -> None:
    after = pool.moved(outcome, sign * level.shares)
    assert level.price_after == price(after, outcome)
    assert sign * (level.price_after - level.price) >= 0
    less = price(pool.moved(outcome, sign * (level.shares - 1)), outcome)
    assert sign * (less - level.price) < 0
    assert level.amount == sign * (lmsr.cost(after) - lmsr.cost(pool)) > 0
    assert isinstance(level.fees, FeeSplit)
    assert level.total == level.amount + sign * level.fees.total
