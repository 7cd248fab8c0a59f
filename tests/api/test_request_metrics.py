"""Requests are counted by the template of their route, also those that match none."""

from __future__ import annotations

from typing import cast

from litestar import Litestar
from litestar.testing import TestClient

from api.middleware.edge import Edge
from api.middleware.metrics import OTHER_METHOD, UNMATCHED, RequestMetrics


def metrics_of(client: TestClient[Litestar]) -> dict[tuple[str, str, int], int]:
    edge = cast(Edge, client.app.asgi_handler)
    return {(route, method, kind): one.count for route, method, kind, one in edge.metrics.series()}


def test_requests_are_counted_by_template_method_and_status(client: TestClient[Litestar]) -> None:
    for number in range(3):
        client.get(f"/api/markets/{number:064x}")
        client.get(f"/no/such/route/{number}")
    client.head("/api/markets")
    client.request("BREW", "/api/markets")
    client.post("/api/discussions/message", content=b"{}" * 10)
    found = metrics_of(client)
    assert found["/api/markets/{market}", "GET", 4] == 3
    assert found[UNMATCHED, "GET", 4] == 3
    assert found["/api/markets", "HEAD", 2] == 1
    assert found[UNMATCHED, OTHER_METHOD, 4] == 1
    sizes = {
        route: one.request_bytes
        for route, _, _, one in cast(Edge, client.app.asgi_handler).metrics.series()
    }
    assert sizes["/api/discussions/message"] == 20


def test_latencies_fall_into_their_buckets() -> None:
    metrics = RequestMetrics()
    for seconds in (0.0005, 0.001, 0.0011, 20.0):
        metrics.observe("/", "GET", 200, seconds, 0)
    ((_, _, status_class, series),) = metrics.series()
    assert status_class == 2
    assert series.buckets[:2] == [2, 1]
    assert series.buckets[-1] == 1
    assert series.count == 4
    assert series.seconds == 20.0026
