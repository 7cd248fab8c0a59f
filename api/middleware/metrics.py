"""Counts and latencies of requests by route, method and status class, in this process.

A route is named by its template, never by its path, so that the number of series is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from api.durations import Durations

# Upper bounds of the latency buckets, in seconds.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Requests that match no route, or are answered before they are routed.
UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "OTHER"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Series(Durations):
    """The latencies of one route, method and status class.

    Attributes:
        request_bytes: Sum of the bodies' announced sizes (``Content-Length``).
    """

    __slots__ = ("request_bytes",)

    def __init__(self) -> None:
        super().__init__(BOUNDS)
        self.request_bytes = 0


class RequestMetrics:
    """The series of one process; used from its event loop."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, int], Series] = {}

    def observe(
        self, route: str, method: str, status: int, seconds: float, request_bytes: int
    ) -> None:
        """Count a request."""
        if method not in _METHODS:
            method = OTHER_METHOD
        key = (route, method, status // 100)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series()
        series.observe(seconds)
        series.request_bytes += request_bytes

    def series(self) -> Iterator[tuple[str, str, int, Series]]:
        """Yield route, method, status class (2 for 2xx) and what is known of them."""
        for (route, method, status_class), series in sorted(self._series.items()):
            yield route, method, status_class, series
