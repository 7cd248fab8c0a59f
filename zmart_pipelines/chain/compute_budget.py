"""Limit and price of a transaction's compute units, and the fee that follows from them. Pure.

Prices are micro-lamports per compute unit, fees lamports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import Instruction

# Lamports of a transaction with one signature.
BASE_FEE: Final = 5_000
# The most that one transaction may use.
MAX_COMPUTE_UNITS: Final = 1_400_000
MIN_COMPUTE_UNITS: Final = 20_000
MIN_UNIT_PRICE: Final = 1_000
DEFAULT_PERCENTILE: Final = 75
_MICRO: Final = 1_000_000


def with_budget(
    body: Sequence[Instruction], *, units: int | None = None, unit_price: int | None = None
) -> list[Instruction]:
    """Prepend a compute limit and a unit price, if given."""
    budget = []
    if units is not None:
        budget.append(set_compute_unit_limit(units))
    if unit_price is not None:
        budget.append(set_compute_unit_price(unit_price))
    return [*budget, *body]


def compute_limit(used: int) -> int:
    """Return the compute limit for the units a simulation used: 15 % more, at least 20,000."""
    return min(max(-(-used * 115 // 100), MIN_COMPUTE_UNITS), MAX_COMPUTE_UNITS)


def unit_price(recent: Sequence[int], cap: int, percentile: int = DEFAULT_PERCENTILE) -> int:
    """Return a percentile (nearest rank) of recent prices, between 1,000 and ``cap``.

    Args:
        recent: Prices that landed; none count as 0.
        cap: The highest price; it wins over the smallest.
        percentile: 0 to 100; 0 is the lowest of them.
    """
    ordered = sorted(recent)
    rank = max(-(-len(ordered) * percentile // 100), 1)
    chosen = ordered[rank - 1] if ordered else 0
    return min(max(chosen, MIN_UNIT_PRICE), cap)


def affordable_price(units: int, max_fee: int) -> int:
    """Return the highest unit price at which the fee is at most ``max_fee`` lamports.

    Args:
        units: Compute limit of the transaction.
        max_fee: Lamports.
    """
    return max(max_fee - BASE_FEE, 0) * _MICRO // units


def fee(units: int, price: int) -> int:
    """Return the fee in lamports of one signature and ``units`` at ``price``."""
    return BASE_FEE + -(-units * price // _MICRO)
