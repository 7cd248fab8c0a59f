"""The market maker's depth: what it takes to move a price to the levels of a ladder. Pure.

There are no orders: the program trades any number of shares along one curve. A ladder cuts the
curve at round prices, so that it can be read as an order book. The asks of a side are what the
market maker sells of it between two levels above the price, the bids what it would buy back
between two levels below. Everything is the program's own integer arithmetic (``lmsr``); prices
have 9 decimals, money is in lamports.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from zmart_pipelines.program import lmsr
from zmart_pipelines.program.integer_search import first_near
from zmart_pipelines.program.lmsr import PRECISION, Fees, FeeSplit, LmsrError, Pool, split_fees
from zmart_pipelines.program.quotes import price_of, sellable

# Where one side leads by the square root of 12 times b, the program's price turns back.
PEAK: Final = 3_464_101_615


class Level(msgspec.Struct, frozen=True):
    """One level of a ladder; all amounts are counted from the current price.

    Attributes:
        price: The price of the level, a multiple of the ladder's step.
        size: Shares between the level before and this one.
        shares: Shares from the current price to this level: the fewest that reach it.
        amount: Lamports for these shares before fees.
        total: With the fees a buyer pays, or less those that a seller pays.
        price_after: The price after exactly these shares.
    """

    price: int
    size: int
    shares: int
    amount: int
    fees: FeeSplit
    total: int
    price_after: int


class Ladder(msgspec.Struct, frozen=True):
    """The levels of one side, those nearest to the current price first."""

    asks: list[Level]
    bids: list[Level]


@lru_cache(maxsize=512)
def ladder(pool: Pool, outcome: bool, fees: Fees, *, step: int, levels: int) -> Ladder:
    """Return the levels of YES (True) or NO around its price.

    Args:
        step: Distance of two levels (9 decimals); levels are its multiples.
        levels: Most levels above and below the price.

    Raises:
        LmsrError: The program has no price for this pool.
    """
    price = price_of(pool, outcome)
    above = range(price // step * step + step, PRECISION, step)[:levels]
    below = range(-(-price // step) * step - step, 0, -step)[:levels]
    # Shares beyond these do not raise the price any more.
    lead = pool.shares_yes - pool.shares_no if outcome else pool.shares_no - pool.shares_yes
    most = max(0, PEAK * pool.b_parameter // PRECISION - lead)
    return Ladder(
        _levels(pool, outcome, fees, above, most, sign=1),
        _levels(pool, outcome, fees, below, _most_sold(pool, outcome, lead), sign=-1),
    )


def _most_sold(pool: Pool, outcome: bool, lead: int) -> int:
    """Return how many shares can be sold, and lower the price with each."""
    return min(sellable(pool, outcome), max(0, PEAK * pool.b_parameter // PRECISION + lead))


def _levels(
    pool: Pool, outcome: bool, fees: Fees, prices: range, most: int, *, sign: int
) -> list[Level]:
    found: list[Level] = []
    shares = 0
    start = lmsr.cost(pool)

    def reaches(price: int) -> Callable[[int], bool]:
        def test(number: int) -> bool:
            moved = price_of(pool.moved(outcome, sign * number), outcome)
            return moved >= price if sign > 0 else moved <= price

        return test

    for price in prices:
        test = reaches(price)
        if not test(most):
            break
        reached = first_near(test, shares, most)
        level = _level(pool, outcome, fees, price, start, (shares, reached), sign)
        if level is not None:
            found.append(level)
            shares = reached
    return found


def _level(
    pool: Pool,
    outcome: bool,
    fees: Fees,
    price: int,
    start: int,
    shares: tuple[int, int],
    sign: int,
) -> Level | None:
    """Return the level that ``shares[1]`` reach; None where it costs nothing or is refused."""
    before, reached = shares
    moved = pool.moved(outcome, sign * reached)
    try:
        amount = sign * (lmsr.cost(moved) - start)
        if amount <= 0:
            return None
        split = split_fees(amount, fees)
    except LmsrError:
        return None
    return Level(
        price=price,
        size=reached - before,
        shares=reached,
        amount=amount,
        fees=split,
        total=amount + sign * split.total,
        price_after=price_of(moved, outcome),
    )
