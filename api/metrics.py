"""Every metric of an API process.

Labels have few values: templates of routes, statuses, names of pools; never an id, a wallet or an
address. They are served by ``zmart_pipelines.metrics.listener``; Prometheus adds the process.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# Requests that match no route, or are answered before they are routed.
UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "OTHER"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_SECONDS: Final = Histogram(
    "zmart_http_request_duration_seconds",
    "Time from a request's head to the end of its response, by the template of its route.",
    ("route", "method", "status_class"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
REQUEST_BYTES: Final = Counter(
    "zmart_http_request_bytes",
    "Announced sizes (Content-Length) of requests' bodies.",
    ("route", "method"),
)
RATE_LIMIT_REFUSALS: Final = Counter(
    "zmart_rate_limit_refusals", "Requests that a rate limit refused, by bucket.", ("bucket",)
)
FAILED_PINS: Final = Counter(
    "zmart_failed_pins", "Files of requests that the pin store did not accept."
)
SHED_REQUESTS: Final = Counter(
    "zmart_shed_requests", "Requests refused because the event loop is behind.", ("kind",)
)
EVENT_LOOP_DELAY: Final = Histogram(
    "zmart_event_loop_delay_seconds",
    "By how much the event loop woke too late, measured ten times a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
BULKHEAD_PLACES: Final = Gauge(
    "zmart_bulkhead_places", "Work that a dependency's threads and queue can hold.", ("bulkhead",)
)
BULKHEAD_TAKEN: Final = Gauge(
    "zmart_bulkhead_taken", "Work that runs or waits for one of these threads.", ("bulkhead",)
)
BULKHEAD_REFUSALS: Final = Counter(
    "zmart_bulkhead_refusals",
    "Work refused because the queue of its dependency was full, or its answer came too late.",
    ("bulkhead", "reason"),
)

SUBSCRIBERS: Final = Gauge(
    "zmart_realtime_clients", "Open connections that receive live updates.", ("transport",)
)
SUBSCRIBERS_OPENED: Final = Counter(
    "zmart_realtime_clients_opened",
    "Connections for live updates that were opened.",
    ("transport",),
)
SUBSCRIBERS_ENDED: Final = Counter(
    "zmart_realtime_clients_ended",
    "Connections for live updates that ended: closed by the client, or dropped by the server.",
    ("transport", "reason"),
)
# So that there is a series, with zero, before the first client comes.
for _transport in ("websocket", "event_stream"):
    SUBSCRIBERS.labels(_transport)
    SUBSCRIBERS_OPENED.labels(_transport)

FRAMES_READ: Final = Counter(
    "zmart_realtime_frames", "Frames of the stream that this process read to deliver them."
)

DELIVERIES: Final = Counter(
    "zmart_webhook_deliveries",
    "Webhook deliveries that were stored, by how they were answered.",
    ("outcome",),
)
DELIVERY_SECONDS: Final = Histogram(
    "zmart_webhook_ingest_seconds",
    "Time from the receipt of a delivery until its first part is in the ledger.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
DELIVERY_QUEUE: Final = Gauge(
    "zmart_webhook_queued_transactions", "Transactions of deliveries that wait for their ingestion."
)

BALLOTS: Final = Counter(
    "zmart_ballots", "Ballots that were answered, by kind of vote and outcome.", ("kind", "outcome")
)

RELAY_ACCEPTANCE_SECONDS: Final = Histogram(
    "zmart_relay_acceptance_seconds",
    "Time until a signed transaction that was handed in was answered.",
    ("outcome",),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
# A transaction is confirmed after about a second and finalized after thirteen; its blockhash
# expires after about a minute.
RELAY_PROGRESS_SECONDS: Final = Histogram(
    "zmart_relay_progress_seconds",
    "Time from storing a relayed transaction until it reached a state; it may be confirmed again"
    " after a fork.",
    ("state",),
    buckets=(0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 90.0, 120.0, 300.0),
)


class Acceptance(StrEnum):
    """How a signed transaction that was handed in was answered."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REFUSED = "refused"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"


class RequestMetrics:
    """Counts requests; it keeps the series that it has used, because finding them costs more.

    ``answered_and_failed`` counts all, and those with a status of 500 to 599, without requests for
    health, whose 503 is an answer about the system and no failure of the API. It is one value, so
    that another thread reads both of one moment.
    """

    def __init__(self) -> None:
        self.answered_and_failed = (0, 0)
        self._series: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}

    def observe(
        self, route: str, method: str, status: int, seconds: float, request_bytes: int
    ) -> None:
        """Count a request."""
        if method not in _METHODS:
            method = OTHER_METHOD
        key = (route, method, status // 100)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = (
                REQUEST_SECONDS.labels(route, method, f"{status // 100}xx"),
                REQUEST_BYTES.labels(route, method),
            )
        series[0].observe(seconds)
        if request_bytes:
            series[1].inc(request_bytes)
        if not route.startswith("/health"):
            answered, failed = self.answered_and_failed
            self.answered_and_failed = (answered + 1, failed + (status >= 500))
