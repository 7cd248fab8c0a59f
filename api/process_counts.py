"""What this process has counted since it last wrote its counts to ``ops.api_counts``.

The monitor judges the sums of all processes, which no process knows. They are taken from the same
counters as the metrics for Prometheus, so that alerts need no Prometheus.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
from prometheus_client import Counter, Gauge

from api.metrics import FAILED_PINS, RATE_LIMIT_REFUSALS, SUBSCRIBERS, RequestMetrics
from zmart_pipelines.store.queries.api_counts import ApiCounts


class ProcessCounts:
    """The counts of one process; used by one thread at a time."""

    def __init__(self, requests: RequestMetrics) -> None:
        """Count from now on."""
        self._requests = requests
        self._written = self._totals()

    @contextlib.contextmanager
    def uncommitted(self) -> Iterator[ApiCounts]:
        """Yield what was counted since the block last ended without an exception."""
        now = self._totals()
        before = msgspec.structs.asdict(self._written)
        yield ApiCounts(
            **{
                name: value if name == "clients" else value - before[name]
                for name, value in msgspec.structs.asdict(now).items()
            }
        )
        self._written = now

    def _totals(self) -> ApiCounts:
        answered, failed = self._requests.answered_and_failed
        return ApiCounts(
            requests=answered,
            errors=failed,
            rate_limit_refusals=_sum(RATE_LIMIT_REFUSALS),
            failed_pins=_sum(FAILED_PINS),
            clients=_sum(SUBSCRIBERS),
        )


def _sum(metric: Counter | Gauge) -> int:
    """Return the sum over a metric's labels."""
    return int(
        sum(
            sample.value
            for family in metric.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        )
    )
