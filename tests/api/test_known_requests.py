"""Requests that are answered in front of the routes: the same answers, always fresh."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, delete, update

from api.hot_reads import market_answers, market_rows
from api.middleware.edge import Edge
from api.middleware.head_lines import head_lines
from tests.api import seed
from tests.api.metric_changes import MetricChanges
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.market import markets

Client = TestClient[Litestar]
PAGE = "http://localhost:3000"
# Differ between two answers to the same request.
OWN = {"x-request-id", "traceparent", "ratelimit", "zmart-as-of-slot", "zmart-lag-slots"}
REQUESTS: list[dict[str, str]] = [
    {},
    {"Accept-Encoding": "br"},
    {"Accept-Encoding": "gzip"},
    {"Origin": PAGE, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
    {"If-None-Match": "*"},
    {"If-None-Match": '"other"'},
]


def key_of(number: int) -> bytes:
    """The id of the market with this number."""
    return bytes([number]) * 32


PATHS = [
    "/api/markets",
    "/api/markets?",
    "/api/markets?limit=2&sort=volume&order=asc",
    "/api/markets?limit=2&offset=1&tag=%C3%A9t%C3%A9",
    "/api/markets?limit=1&state=ACTIVE&state=PROPOSED,2",
    "/api/markets?q=market&limit=3",
    "/api/markets?limit=0",
    f"/api/markets/{key_of(1).hex()}",
    f"/api/markets/{key_of(1).hex().upper()}",
    f"/api/markets/{key_of(2).hex()}?verify=false",
]


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """An engine that may write everything; there are five markets."""
    made = role_engine(Role.OWNER, database)
    with made.begin() as conn:
        for number in range(1, 6):
            seed.market(conn, key_of(number), total_volume=number)
    yield made
    made.dispose()


def edge(client: Client) -> Edge:
    """The outermost layer of the client's app."""
    layer = client.app.asgi_handler
    assert isinstance(layer, Edge)
    return layer


def answer(client: Client, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    """What a request is answered, without what no two answers share."""
    got = client.request(method, path, headers=headers)
    return {
        "status": got.status_code,
        "headers": {name: value for name, value in got.headers.items() if name not in OWN},
        "body": got.content,
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_known_request_is_answered_as_by_its_handler(
    client: Client, owner: Engine, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    asked = [(path, headers) for path in PATHS for headers in REQUESTS]
    by_handler = []
    for path, headers in asked:
        edge(client).known._known.clear()
        by_handler.append(answer(client, method, path, headers))
    assert {one["status"] for one in by_handler} == {200, 304}
    for path in PATHS:
        client.get(path)

    async def refuse(*_: Any) -> None:
        raise AssertionError("the routes were asked")

    monkeypatch.setattr(edge(client), "_app", refuse)
    for request, expected in zip(asked, by_handler, strict=True):
        assert answer(client, method, *request) == expected, request


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_known_health_is_measured_for_each_request(client: Client, path: str) -> None:
    """The bodies differ in time alone, so that an entity tag never matches."""

    def ask() -> tuple[dict[str, str], dict[str, Any]]:
        got = client.get(path)
        assert got.status_code == 200
        headers = {name: value for name, value in got.headers.items() if name not in OWN}
        del headers["etag"], headers["content-length"]
        return headers, got.json()

    headers, first = ask()
    assert len(edge(client).known) == 1
    known_headers, second = ask()
    assert known_headers == headers
    assert headers["cache-control"] == "no-store"
    assert second.pop("timestamp") > first.pop("timestamp")
    assert second.pop("uptime") > first.pop("uptime")
    assert second == first


def test_what_is_refused_is_not_known(client: Client, owner: Engine) -> None:
    for path in (
        "/api/markets?limit=201",
        "/api/markets?unknown=1",
        "/api/markets?state=OPEN",
        f"/api/markets/{key_of(1).hex()}?at=1&verify=true",
        f"/api/markets/{key_of(9).hex()}",
        "/api/markets/nothing",
    ):
        first = client.get(path)
        assert first.status_code >= 400
        assert len(edge(client).known) == 0
        assert client.get(path).json()["message"] == first.json()["message"]


def test_post_of_a_known_path_goes_to_its_own_route(client: Client, owner: Engine) -> None:
    client.get("/api/markets")
    assert client.post("/api/markets", json={}).status_code == 400


def test_market_that_is_gone_is_a_404(client: Client, owner: Engine) -> None:
    path = f"/api/markets/{key_of(3).hex()}"
    assert client.get(path).status_code == 200
    with owner.begin() as conn:
        conn.execute(delete(markets).where(markets.c.market_id == key_of(3)))
    assert client.get(path).status_code == 404
    assert client.get(path).json()["code"] == "market_not_found"


def test_longest_unused_is_forgotten(client: Client, owner: Engine) -> None:
    layer = edge(client)
    layer.known._capacity = 2
    for number in (1, 2, 1, 3):
        client.get(f"/api/markets/{key_of(number).hex()}")
    found = [
        layer.known.find({"path": f"/api/markets/{key_of(number).hex()}", "query_string": b""})
        for number in (1, 2, 3)
    ]
    assert [known is not None for known in found] == [True, False, True]


def test_long_query_is_not_kept(client: Client, owner: Engine) -> None:
    path = "/api/markets?" + "&".join(["limit=20"] * 70)
    assert client.get(path).status_code == 200
    assert len(edge(client).known) == 0


def test_known_request_is_counted_under_its_route(client: Client, owner: Engine) -> None:
    changes = MetricChanges()
    for _ in range(3):
        client.get(f"/api/markets/{key_of(1).hex()}")
    counted = "zmart_http_request_duration_seconds_count"
    assert changes.of(counted, "/api/markets/{market}", "GET", "2xx") == 3


@pytest.mark.parametrize("path", ["/api/markets", f"/api/markets/{key_of(1).hex()}"])
def test_304_is_given_only_while_the_body_is_the_same(
    client: Client, owner: Engine, path: str
) -> None:
    """Every commit gives the markets a volume of its own: an older tag is then of another body."""
    commits = 150
    committed = 0

    def write() -> None:
        nonlocal committed
        for volume in range(1, commits + 1):
            with owner.begin() as conn:
                conn.execute(update(markets).values(total_volume=volume))
            committed = volume

    writer = threading.Thread(target=write)
    volumes: dict[str, int] = {}
    tag, unchanged = "", 0
    writer.start()
    try:
        while volumes.get(tag) != commits:
            before = committed
            got = client.get(path, headers={"If-None-Match": tag})
            if got.status_code == 200:
                body = got.json()
                tag = got.headers["etag"]
                volumes[tag] = body.get("markets", [body])[0]["total_volume"]
            else:
                assert got.status_code == 304
                assert got.headers["etag"] == tag
                unchanged += 1
            # What was committed before the request is in its answer; 0 is of before all commits.
            assert before == 0 or volumes[tag] >= before
    finally:
        writer.join()
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert len(volumes) > 1


@pytest.mark.parametrize("path", ["/api/markets", f"/api/markets/{key_of(1).hex()}"])
def test_no_body_is_made_for_a_304(
    client: Client, owner: Engine, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    made = []
    for module in (market_answers, market_rows):
        encode = module._encode

        def counted(value: Any, encode: Any = encode) -> bytes:
            made.append(value)
            return bytes(encode(value))

        monkeypatch.setattr(module, "_encode", counted)
    first = client.get(path)
    assert made
    made.clear()
    for _ in range(20):
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
    assert made == []


def test_head_lines_have_no_control_characters() -> None:
    assert head_lines([(b"a", b"1\t2"), (b"b", "é".encode())]) == b"a: 1\t2\r\nb: \xc3\xa9\r\n"
    for value in (b"x\r\ny: 1", b"x\ny", b"x\ry", b"\x00", b"\x7f"):
        with pytest.raises(ValueError, match="control character"):
            head_lines([(b"a", value)])
