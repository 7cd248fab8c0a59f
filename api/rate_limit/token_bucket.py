"""The arithmetic of a token bucket: integers only, without a clock of its own.

A bucket holds ``limit`` tokens and gains ``limit`` per window, so that its burst is its limit. What
is stored is the debt: how much is missing from a full bucket, in units of which a token has
``window_ms`` and a millisecond restores ``limit``. No rounding can therefore add up. The script of
``api.rate_limit.redis_buckets`` computes the same in Redis.
"""

from __future__ import annotations

from typing import Final

import msgspec

# The script's numbers are doubles: products must stay exact.
MAX_LIMIT: Final = 1_000_000
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000


class Quota(msgspec.Struct, frozen=True):
    """So many requests per window, all of which may come at once.

    Attributes:
        name: Names the bucket in response headers and errors.
        limit: Tokens of a full bucket, from 1 to ``MAX_LIMIT``.
        window_ms: Milliseconds in which an empty bucket fills.
    """

    name: str
    limit: int
    window_ms: int = MINUTE_MS

    @property
    def capacity(self) -> int:
        """The debt of an empty bucket."""
        return self.limit * self.window_ms


class Taken(msgspec.Struct, frozen=True):
    """The result of asking for tokens: how many were granted, and the debt after them."""

    granted: int
    debt: int


def take(quota: Quota, debt: int, elapsed_ms: int, wanted: int = 1) -> Taken:
    """Take up to ``wanted`` tokens; a refused one costs nothing.

    Args:
        quota: The bucket's quota.
        debt: The bucket's debt when it was last written.
        elapsed_ms: Milliseconds since; a clock that went back counts as none.
        wanted: Tokens that are asked for.
    """
    left = remaining_debt(quota, debt, elapsed_ms)
    granted = min(wanted, (quota.capacity - left) // quota.window_ms)
    return Taken(granted, left + granted * quota.window_ms)


def remaining_debt(quota: Quota, debt: int, elapsed_ms: int) -> int:
    """Return what is left of the debt after so many milliseconds.

    It is at most that of an empty bucket: a limit that was lowered costs one window, not more.
    """
    left = min(quota.capacity, debt)
    if elapsed_ms > 0:
        left -= elapsed_ms * quota.limit
    return max(0, left)


def remaining(quota: Quota, debt: int) -> int:
    """Return the whole tokens in the bucket."""
    return max(0, quota.capacity - debt) // quota.window_ms


def next_token_ms(quota: Quota, debt: int) -> int:
    """Return the milliseconds until there is one token more than now; 0 for a full bucket."""
    missing = debt % quota.window_ms or min(debt, quota.window_ms)
    return -(-missing // quota.limit)
