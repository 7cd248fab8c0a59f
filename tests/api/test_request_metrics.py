"""Requests are counted by the template of their route, also those that match none."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient

from api.metrics import OTHER_METHOD, UNMATCHED, RequestMetrics
from tests.api.metric_changes import MetricChanges

SECONDS = "zmart_http_request_duration_seconds"


def test_requests_are_counted_by_template_method_and_status(client: TestClient[Litestar]) -> None:
    changes = MetricChanges()
    for number in range(3):
        client.get(f"/api/markets/{number:064x}")
        client.get(f"/no/such/route/{number}")
    client.head("/api/markets")
    client.request("BREW", "/api/markets")
    client.post("/api/discussions/message", content=b"{}" * 10)

    def count(route: str, method: str, status_class: str) -> float:
        return changes.of(f"{SECONDS}_count", route, method, status_class)

    assert count("/api/markets/{market}", "GET", "4xx") == 3
    assert count(UNMATCHED, "GET", "4xx") == 3
    assert count("/api/markets", "HEAD", "2xx") == 1
    assert count(UNMATCHED, OTHER_METHOD, "4xx") == 1
    sizes = "zmart_http_request_bytes_total"
    assert changes.of(sizes, "/api/discussions/message", "POST") == 20


def test_latencies_fall_into_their_buckets() -> None:
    changes = MetricChanges()
    metrics = RequestMetrics()
    for seconds in (0.0005, 0.001, 0.0011, 20.0):
        metrics.observe("/buckets", "GET", 200, seconds, 0)
    series = ("/buckets", "GET", "2xx")
    assert changes.of(f"{SECONDS}_bucket", *series, "0.001") == 2
    assert changes.of(f"{SECONDS}_bucket", *series, "0.0025") == 3
    assert changes.of(f"{SECONDS}_bucket", *series, "10.0") == 3
    assert changes.of(f"{SECONDS}_bucket", *series, "+Inf") == 4
    assert changes.of(f"{SECONDS}_sum", *series) == 20.0026
