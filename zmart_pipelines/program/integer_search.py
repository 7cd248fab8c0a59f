"""Search for the first integer at which something holds. Pure."""

from __future__ import annotations

from collections.abc import Callable


def first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return a number from ``low`` to ``high`` at which ``holds`` begins to be true.

    ``holds(high)`` is true. The number before the result is not, unless the result is ``low``.
    """
    while low < high:
        middle = low + (high - low) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def first_near(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Do what ``first`` does, in fewer steps where the result is near ``low``."""
    width = max(1, (high - low) >> 10)
    while low + width < high and not holds(low + width):
        low += width
        width *= 2
    return first(holds, low, min(high, low + width))
