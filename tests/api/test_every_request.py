"""What every response carries, through a real server: also where no route is reached."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import brotli
import httpx
import pytest

from tests.api.running_api import RunningApi, running
from zmart_pipelines.settings import Settings

PAGE = "http://localhost:3001"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def api(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    with running(module_settings, tmp_path_factory.mktemp("api")) as started:
        yield started


@pytest.fixture
def http(api: RunningApi) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=60, trust_env=False) as client:
        # httpx adds codings of its own, which would hide what is sent.
        del client.headers["accept-encoding"]
        yield client


ANSWERS = [
    ("GET", "/api/markets", 200),
    ("GET", "/api/markets/nothing", 400),
    ("GET", "/no/such/route", 404),
    ("PUT", "/api/markets", 405),
    ("OPTIONS", "/api/markets", 204),
    ("POST", "/api/discussions", 400),
    ("GET", "/docs", 200),
    ("GET", "/", 302),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_response_has_the_headers_of_every_response(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path, headers={"X-Request-Id": "mine-1"})
    if status in {400, 404} and "nothing" in path:
        assert answer.status_code in {400, 404}
    else:
        assert answer.status_code == status
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "Origin" in answer.headers["vary"]
    assert answer.headers.get_list("cache-control") != []
    assert len(answer.headers.get_list("cache-control")) == 1
    if status >= 400:
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/markets", "no-cache"),
        ("/api/markets/trending", "max-age=1, public"),
        ("/api/health", "no-store"),
        ("/health/live", "no-store"),
        ("/docs/openapi.json", "no-store"),
    ],
)
def test_caching_is_what_the_handler_declares(http: httpx.Client, path: str, expected: str) -> None:
    stated = http.get(path).headers["cache-control"]
    assert set(stated.split(", ")) == set(expected.split(", "))


def test_response_before_the_routes_has_them_too(api: RunningApi) -> None:
    with socket.create_connection(("127.0.0.1", api.settings.api_port), timeout=60) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"x" * 70_000)
        answer = b""
        while part := raw.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert {b"x-request-id", b"x-content-type-options", b"cache-control"} <= names
    assert json.loads(body)["status"] == 431


def test_request_id_is_made_where_none_or_a_bad_one_is_sent(http: httpx.Client) -> None:
    first = http.get("/api/markets").headers["x-request-id"]
    second = http.get("/api/markets", headers={"X-Request-Id": "not acceptable"}).headers
    assert len(first) == 32
    assert second["x-request-id"] not in {first, "not acceptable"}


def test_error_body_and_log_name_the_request(http: httpx.Client) -> None:
    answer = http.get("/no/such/route", headers={"X-Request-Id": "mine-2"})
    assert answer.json()["request_id"] == "mine-2"


def test_trace_is_continued(http: httpx.Client) -> None:
    sent = f"00-{TRACE}-b7ad6b7169203331-01"
    answered = http.get("/api/markets", headers={"traceparent": sent}).headers["traceparent"]
    assert answered.split("-")[1] == TRACE
    assert answered != sent
    assert "traceparent" not in http.get("/api/markets").headers


def test_read_is_revalidated_for_a_304(http: httpx.Client) -> None:
    first = http.get("/api/markets")
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert first.headers["cache-control"] != "no-store"
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = http.get("/api/markets", headers={"If-None-Match": condition})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
        assert again.headers["vary"] == first.headers["vary"]
        assert "content-type" not in again.headers
        assert "content-length" not in again.headers
    assert http.get("/api/markets", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("coding", "unpack"), [("br", brotli.decompress), ("gzip", gzip.decompress)]
)
def test_large_answers_are_compressed_and_small_ones_not(
    http: httpx.Client, coding: str, unpack: Any
) -> None:
    path = "/docs/openapi.json"
    plain = http.get(path)
    with http.stream("GET", path, headers={"Accept-Encoding": coding}) as packed:
        sent = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == coding
    assert "Accept-Encoding" in packed.headers["vary"]
    assert unpack(sent) == plain.content
    assert int(packed.headers["content-length"]) == len(sent) < len(plain.content) / 3
    assert packed.headers["etag"] != plain.headers["etag"]
    # A client revalidates with either tag, in either coding.
    for tag in (packed.headers["etag"], plain.headers["etag"]):
        again = http.get(path, headers={"Accept-Encoding": coding, "If-None-Match": tag})
        assert again.status_code == 304
        assert again.headers["etag"] == packed.headers["etag"]
    small = http.get("/health/live", headers={"Accept-Encoding": coding})
    assert "content-encoding" not in small.headers


@pytest.mark.parametrize("path", ["/api/markets", "/docs", "/health/live", "/no/such/route", "/"])
def test_head_is_get_without_the_body(http: httpx.Client, path: str) -> None:
    got, head = http.get(path), http.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    changing = {"date", "x-request-id", "etag", "content-length"}
    if path in {"/api/markets", "/docs", "/"}:
        changing -= {"etag", "content-length"}
    names = set(got.headers) | set(head.headers)
    for name in names - changing:
        assert head.headers[name] == got.headers[name], name


def test_connection_is_kept_after_head(api: RunningApi) -> None:
    with socket.create_connection(("127.0.0.1", api.settings.api_port), timeout=60) as raw:
        head = b"HEAD /api/markets HTTP/1.1\r\nHost: x\r\n\r\n"
        raw.sendall(head + b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert b'"alive"' in answer
    assert "Traceback" not in api.log.read_text()


def test_allow_names_head_where_get_is(http: httpx.Client) -> None:
    allowed = http.options("/api/markets").headers["allow"].split(", ")
    assert set(allowed) == {"GET", "HEAD", "OPTIONS", "POST"}
    refused = http.put("/api/markets")
    assert refused.status_code == 405
    assert "HEAD" in refused.headers["allow"]
    assert http.head("/api/discussions").status_code == 405
    # Two handlers on one path, which name its parameter differently.
    both = http.options("/api/discussions/00").headers["allow"].split(", ")
    assert set(both) == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH"}


@pytest.mark.parametrize("origin", [PAGE, PAGE.replace("localhost", "127.0.0.1")])
def test_preflight_allows_what_clients_send(http: httpx.Client, origin: str) -> None:
    names = (
        "traceparent, X-Request-Id, If-None-Match, Authorization, Content-Type, Idempotency-Key,"
        " X-Api-Key"
    )
    answer = http.options(
        "/api/markets",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": names,
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert set(names.lower().split(", ")) <= set(allowed.split(", "))
    assert "POST" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "https://evil.example"},
        {"Access-Control-Request-Method": "TRACE"},
        {"Access-Control-Request-Headers": "X-Other"},
    ],
)
def test_refused_preflight_is_json(http: httpx.Client, changed: dict[str, str]) -> None:
    sent = {"Origin": PAGE, "Access-Control-Request-Method": "GET"} | changed
    answer = http.options("/api/markets", headers=sent)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["code"] == "cors_refused"
    assert "access-control-allow-methods" not in answer.headers
    is_known = sent["Origin"] == PAGE
    assert ("access-control-allow-origin" in answer.headers) is is_known


@pytest.mark.parametrize("path", ["/api/markets", "/no/such/route"])
def test_pages_of_allowed_origins_read_answers_and_their_headers(
    http: httpx.Client, path: str
) -> None:
    answer = http.get(path, headers={"Origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {
        *("etag", "link", "location", "ratelimit", "ratelimit-policy", "retry-after"),
        *("x-request-id", "zmart-as-of-slot", "zmart-lag-slots"),
    } <= set(exposed)
    other = http.get(path, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    assert "Origin" in other.headers["vary"]


def test_static_files_are_compressed_and_revalidated(http: httpx.Client) -> None:
    path = "/docs/assets/swagger-ui-bundle.js"
    plain = http.get(path)
    with http.stream("GET", path, headers={"Accept-Encoding": "br"}) as packed:
        sent = b"".join(packed.iter_raw())
    assert brotli.decompress(sent) == plain.content
    assert len(sent) < len(plain.content) / 2
    again = http.get(path, headers={"If-None-Match": plain.headers["etag"]})
    assert again.status_code == 304


def test_parallel_requests_keep_their_ids(http: httpx.Client) -> None:
    def one(number: int) -> str:
        name = f"request-{number}"
        return str(http.get("/api/markets", headers={"X-Request-Id": name}).headers["x-request-id"])

    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(one, range(40)))
    assert found == [f"request-{number}" for number in range(40)]
