"""Which bucket each route takes from, as the layer in front of the routes finds it."""

from __future__ import annotations

import re

import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from api.rate_limit.buckets import BucketName
from api.rate_limit.route_buckets import RouteBucket, RouteBuckets

NOTHING = RouteBucket()
EXEMPT = RouteBucket(is_exempt=True)
WRITE = RouteBucket(BucketName.WRITE)


def routes_of(app: Litestar) -> list[HTTPRoute]:
    return [route for route in app.routes if isinstance(route, HTTPRoute)]


@pytest.fixture
def buckets(client: TestClient[Litestar]) -> RouteBuckets:
    return RouteBuckets(routes_of(client.app))


def test_every_route_is_found_as_it_is_written_and_with_more_slashes(
    client: TestClient[Litestar], buckets: RouteBuckets
) -> None:
    seen = 0
    for route in routes_of(client.app):
        path = re.sub(r"\{[^}]*\}", "some-name", route.path_format)
        for method, (handler, _) in route.route_handler_map.items():
            name = handler.opt.get("bucket")
            found = buckets.of(str(method), path, b"q=rain")
            if name is None:
                assert found == (NOTHING if method in {"GET", "HEAD", "OPTIONS"} else WRITE), path
            elif name in {"general", "exempt"}:
                assert found == (EXEMPT if name == "exempt" else NOTHING), path
            else:
                assert found.bucket == name, path
            for other in (f"{path}/", f"/{path}", path.replace("/", "//")):
                assert buckets.of(str(method), other, b"q=rain") == found, other
            seen += 1
    assert seen > 60


def test_only_health_and_the_dashboards_files_are_exempt_and_only_texts_to_sign_are_no_writes(
    client: TestClient[Litestar], buckets: RouteBuckets
) -> None:
    outside, harmless = set(), set()
    for route in routes_of(client.app):
        for method in route.route_handler_map:
            found = buckets.of(str(method), route.path_format, b"")
            if found.is_exempt:
                outside.add(route.path_format)
            elif method in {"POST", "PUT", "PATCH", "DELETE"} and found.bucket is None:
                harmless.add(route.path_format)
    files = {path for path in outside if path == "/app" or path.startswith("/app/")}
    assert len(files) == 3
    assert all("health" in path for path in outside - files)
    assert len(outside) >= 5
    assert all(path.endswith(("/message", "/messages")) for path in harmless)


@pytest.mark.parametrize(
    ("query", "is_search"),
    [
        (b"", False),
        (b"limit=20", False),
        (b"q=rain", True),
        (b"limit=20&q=rain", True),
        (b"%71=rain", True),
        (b"q", True),
        (b"category=q%3D", False),
        (b"xq=1", False),
    ],
)
def test_list_of_markets_is_a_search_with_words_alone(
    buckets: RouteBuckets, query: bytes, is_search: bool
) -> None:
    found = buckets.of("GET", "/api/markets", query).bucket
    assert found == (BucketName.SEARCH if is_search else None)


def test_requests_without_a_route_have_the_bucket_of_their_method(buckets: RouteBuckets) -> None:
    assert buckets.of("GET", "/no/such/route", b"") == NOTHING
    assert buckets.of("GET", "/", b"") == NOTHING
    assert buckets.of("DELETE", "/no/such/route", b"") == WRITE
    # Another number of segments than the template's.
    assert buckets.of("GET", "/health/a/b", b"") == NOTHING


def test_unknown_bucket_is_a_fault_of_the_app() -> None:
    @get("/a/{b:str}", opt={"bucket": "wrong"})
    async def wrong(b: FromPath[str]) -> str:
        return b

    with pytest.raises(ValueError, match="wrong"):
        RouteBuckets(routes_of(Litestar([wrong])))


def test_literal_path_stands_before_a_template() -> None:
    @get("/a/{b:str}", opt={"bucket": "exempt"})
    async def template(b: FromPath[str]) -> str:
        return b

    @get("/a/list")
    async def literal() -> str:
        return ""

    @post("/a/{b:str}/{c:str}", opt={"bucket": "auth"})
    async def longer(b: FromPath[str], c: FromPath[str]) -> str:
        return b + c

    buckets = RouteBuckets(routes_of(Litestar([template, literal, longer])))
    assert buckets.of("GET", "/a/other", b"") == EXEMPT
    assert buckets.of("GET", "/a/list", b"") == NOTHING
    assert buckets.of("POST", "/a/b/c", b"").bucket is BucketName.AUTH
    assert buckets.of("POST", "/a/b", b"") == WRITE
    assert [(one.method, one.path) for one in buckets.listed] == [("POST", "/a/{b}/{c}")]
