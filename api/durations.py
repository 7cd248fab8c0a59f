"""A histogram of durations: how many, by upper bounds, and their sum."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Durations:
    """Durations that were observed.

    Attributes:
        bounds: Upper bounds of the buckets, in seconds, rising.
        buckets: Number of durations by bucket, one more than ``bounds``; not cumulative.
        seconds: Sum of the durations.
    """

    __slots__ = ("bounds", "buckets", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self.buckets)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds
