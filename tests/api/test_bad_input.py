"""Invalid input to each route is a 4xx that names the field, in the common error body."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair

from api.app import create_app
from api.error_codes import ErrorCode
from api.errors import ErrorBody
from api.requests.decoding import MAX_BODY
from tests.api.seed import wallet
from tests.api.wallets import signed_in
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]
MARKET = "ab" * 32
WALLET = str(wallet(1).pubkey())

_NEW = {
    "question": "Will it rain in Ghent tomorrow?",
    "category": "science",
    "end_date": "2031-01-01T00:00:00Z",
    "liquidity": 10**9,
}
_BODIES: dict[str, dict[str, Any]] = {
    "POST /api/markets": _NEW,
    "POST /api/trades/buy": {"market_id": MARKET, "outcome": True, "max_cost": 10**9},
    "POST /api/trades/sell": {"market_id": MARKET, "outcome": True, "shares": 10**9},
    f"POST /api/markets/{MARKET}/resolve": {
        "outcome": True,
        "ipfs_evidence_hash": "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
    },
    "POST /api/votes/proposal": {"market_id": MARKET, "vote": True},
    "POST /api/votes/dispute": {"market_id": MARKET, "vote": False},
    "POST /api/markets/message": _NEW,
    "POST /api/discussions": {"market_id": MARKET, "content": "hello"},
    "POST /api/discussions/message": {"market_id": MARKET, "content": "hello"},
    "DELETE /api/discussions/00000000-0000-0000-0000-000000000000": {},
}
_WRONG: list[tuple[str, str, Any]] = [
    ("POST /api/markets", "question", "short"),
    ("POST /api/markets", "question", "x" * 201),
    ("POST /api/markets", "question", " " * 20),
    ("POST /api/markets", "question", None),
    ("POST /api/markets", "question", "Will \u0007 ring the bell?"),
    ("POST /api/markets", "description", "x" * 2001),
    ("POST /api/markets", "category", "weather"),
    ("POST /api/markets", "tags", ["x"] * 11),
    ("POST /api/markets", "tags", [" "]),
    ("POST /api/markets", "tags", "x"),
    ("POST /api/markets", "question", "Will it\u202e rain tomorrow?"),
    ("POST /api/markets", "question", "\u3164" * 12),
    ("POST /api/markets", "question", "\u200b" * 12),
    ("POST /api/markets", "question", "Will it rain\ntomorrow?"),
    ("POST /api/markets", "description", "By the station\u2066 at Melle"),
    ("POST /api/markets", "tags", ["rain", "gh\u200bent"]),
    ("POST /api/markets", "end_date", "2031-12-31"),
    ("POST /api/markets", "end_date", "2031-12-31T12:00"),
    ("POST /api/markets", "end_date", "20311231"),
    ("POST /api/markets", "end_date", "2031-W52-3"),
    ("POST /api/markets", "end_date", "tomorrow"),
    ("POST /api/markets", "end_date", "2001-01-01T00:00:00Z"),
    ("POST /api/markets", "end_date", "9999-12-31T23:59:59-23:59"),
    ("POST /api/markets", "liquidity", 0),
    ("POST /api/markets", "liquidity", 10**15 + 1),
    ("POST /api/markets", "liquidity", 1.5),
    ("POST /api/markets", "liquidity", 2**70),
    ("POST /api/markets", "b_parameter", 99 * 10**9),
    ("POST /api/markets", "b_parameter", -1),
    ("POST /api/markets", "creator", "me"),
    ("POST /api/trades/buy", "market_id", "x"),
    ("POST /api/trades/buy", "market_id", MARKET[:-2]),
    ("POST /api/trades/buy", "outcome", 7),
    ("POST /api/trades/buy", "max_cost", 0),
    ("POST /api/trades/buy", "shares", -5),
    ("POST /api/trades/sell", "shares", 0),
    ("POST /api/trades/sell", "min_proceeds", -1),
    (f"POST /api/markets/{MARKET}/resolve", "ipfs_evidence_hash", "Qm"),
    (f"POST /api/markets/{MARKET}/resolve", "ipfs_evidence_hash", "Q" * 46),
    (f"POST /api/markets/{MARKET}/resolve", "outcome", "maybe"),
    ("POST /api/votes/proposal", "market_id", "nope"),
    ("POST /api/votes/proposal", "vote", "agree"),
    ("POST /api/votes/proposal", "vote", None),
    ("POST /api/votes/proposal", "vote", []),
    ("POST /api/votes/dispute", "vote", "like"),
    ("POST /api/discussions", "content", ""),
    ("POST /api/discussions", "content", "   "),
    ("POST /api/discussions", "content", "x" * 1001),
    ("POST /api/discussions", "content", "a\u0000b"),
    ("POST /api/discussions", "content", "\u200b\u200b"),
    ("POST /api/discussions", "content", "I agree \u202esey\u202c"),
    ("POST /api/discussions", "content", "\u2800" * 9),
    ("POST /api/discussions", "market_id", None),
]
_QUERIES = [
    ("/api/markets?limit=-1", "limit"),
    ("/api/markets?limit=201", "limit"),
    ("/api/markets?limit=abc", "limit"),
    ("/api/markets?limit=99999999999999999999999", "limit"),
    ("/api/markets?limit=1.5", "limit"),
    ("/api/markets?offset=-1", "offset"),
    ("/api/markets?offset=1000001", "offset"),
    ("/api/markets?state=OPEN", "state"),
    ("/api/markets?state=7", "state"),
    ("/api/markets?state=%00", "state"),
    ("/api/markets?state=%F0%9F", "state"),
    ("/api/markets?category=weather", "category"),
    ("/api/markets?creator=x", "creator"),
    ("/api/markets/activity?type=vote", "type"),
    ("/api/markets/activity?limit=x", "limit"),
    ("/api/markets/trending?limit=x", "limit"),
    (f"/api/markets/{MARKET}/related?limit=-1", "limit"),
    (f"/api/markets/{MARKET}/price-history?limit=x", "limit"),
    (f"/api/markets/{MARKET}/trades?order=up", "order"),
    (f"/api/markets/{MARKET}/votes?type=all", "type"),
    (f"/api/votes/proposal/{MARKET}/message", "vote"),
    (f"/api/votes/proposal/{MARKET}/message?vote=maybe", "vote"),
    (f"/api/users/{WALLET}/trades?limit=x", "limit"),
    (f"/api/users/{WALLET}/votes?type=x", "type"),
]
_PATHS = [
    ("/api/markets/xyz", "market", "market_not_found"),
    (f"/api/markets/{MARKET[:-1]}", "market", "market_not_found"),
    (f"/api/markets/{MARKET}0", "market", "market_not_found"),
    ("/api/markets/%00", "market", "market_not_found"),
    ("/api/markets/1%2C2/related", "market", "market_not_found"),
    ("/api/markets/xyz/stats", "market", "market_not_found"),
    ("/api/markets/xyz/price-history", "market", "market_not_found"),
    ("/api/markets/xyz/trades", "market", "market_not_found"),
    ("/api/markets/xyz/votes", "market", "market_not_found"),
    ("/api/votes/xyz", "market", "market_not_found"),
    (f"/api/votes/opinion/{MARKET}", "kind", "not_found"),
    ("/api/votes/proposal/xyz", "market", "market_not_found"),
    ("/api/discussions/xyz", "market", "market_not_found"),
    ("/api/users/0x1", "wallet", "wallet_not_found"),
    ("/api/users/1111/trades", "wallet", "wallet_not_found"),
    ("/api/users/1111/votes", "wallet", "wallet_not_found"),
    ("/api/users/1111/positions", "wallet", "wallet_not_found"),
    ("/api/positions/invalid-wallet", "wallet", "wallet_not_found"),
    ("/api/discussions/xyz/message", "discussion", "comment_not_found"),
    ("/ipfs/Qm1", "cid", "file_not_found"),
]
# Rejected before any field is validated.
_HOSTILE = {
    "nothing": b"",
    "half": b'{"market_id": "',
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "no UTF-8": b'{"market_id": "\xff"}',
    "half a surrogate": b'{"market_id": "\\ud800"}',
    "NUL": b'{"market_id": "a\\u0000b"}',
    "NUL in a name": b'{"a\\u0000b": 1}',
    "deep": b"[" * 10_000,
    "deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "900 deep": b"[" * 900 + b"]" * 900,
    "33 deep": b'{"market_id":' + b"[" * 33 + b"]" * 33 + b"}",
    "huge integer": b'{"market_id": 1' + b"0" * 30 + b"}",
    "5000 digits": b'{"market_id": ' + b"9" * 5000 + b"}",
    "not a number": b'{"market_id": NaN}',
    "twice": b'{"market_id": 1}{"market_id": 2}',
    "BOM": b"\xef\xbb\xbf{}",
}


@pytest.fixture(scope="module")
def shared(module_settings: Settings) -> Any:
    """One client for all cases of this module: none of them may write."""
    with TestClient(create_app(module_settings), raise_server_exceptions=False) as client:
        yield client


def error_body(answer: Any, status: int, path: str) -> dict[str, Any]:
    """The error body, after a check of its fields."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) <= set(ErrorBody.__struct_fields__)
    assert body["error"] == HTTPStatus(status).phrase
    assert body["code"] in set(ErrorCode)
    assert body["detail"] == body["message"]
    assert body["status"] == status
    assert body["path"] == path
    assert body["timestamp"].endswith("Z")
    assert body["message"]
    for word in ("Traceback", "SELECT", "sqlalchemy", "psycopg", "msgspec", "/work"):
        assert word not in answer.text
    return body


def names_field(body: dict[str, Any], field: str) -> bool:
    """Whether one of the details names this field, or a field in it."""
    return any(
        detail["field"] == field or detail["field"].startswith((f"{field}.", f"{field}["))
        for detail in body["details"]
    )


@pytest.mark.parametrize(("route", "field", "value"), _WRONG)
def test_invalid_field_is_named(shared: Client, route: str, field: str, value: Any) -> None:
    method, path = route.split(" ")
    body = _BODIES[route] | {field: value} | signed_in(Keypair())
    answer = shared.request(method, path, json=body)
    assert names_field(error_body(answer, 400, path), field), answer.text


def test_time_error_names_the_remedy(shared: Client) -> None:
    answer = shared.post("/api/markets", json=_NEW | {"end_date": "2031-12-31"})
    (detail,) = answer.json()["details"]
    assert detail["field"] == "end_date"
    assert "with a UTC offset, for example 2031-12-31T23:59:59Z" in detail["message"]


@pytest.mark.parametrize("route", _BODIES)
def test_missing_and_unknown_fields_are_named(shared: Client, route: str) -> None:
    method, path = route.split(" ")
    for field in _BODIES[route]:
        body = {name: value for name, value in _BODIES[route].items() if name != field}
        assert names_field(error_body(shared.request(method, path, json=body), 400, path), field)
    answer = shared.request(method, path, json=_BODIES[route] | {"is_admin": True})
    assert names_field(error_body(answer, 400, path), "is_admin"), answer.text


@pytest.mark.parametrize(("url", "field", "code"), _PATHS)
def test_malformed_name_in_path_is_not_found(
    shared: Client, url: str, field: str, code: str
) -> None:
    answer = shared.get(url)
    body = error_body(answer, 404, unquote(url))
    assert (body["code"], names_field(body, field)) == (code, True), answer.text


@pytest.mark.parametrize(("url", "field"), _QUERIES)
def test_invalid_query_parameter_is_named(shared: Client, url: str, field: str) -> None:
    answer = shared.get(url)
    assert answer.status_code == 400, answer.text
    assert names_field(answer.json(), field), answer.text


def test_error_lists_the_allowed_values(shared: Client) -> None:
    answer = shared.post("/api/markets", json=_NEW | {"category": "x"}).json()
    assert answer["details"][0]["message"].startswith("must be one of politics, sports")
    answer = shared.get(f"/api/markets/{MARKET}/votes?type=x").json()
    assert answer["message"] == "type: must be one of proposal, dispute"


@pytest.mark.parametrize("route", _BODIES)
def test_hostile_bodies_are_rejected(shared: Client, route: str) -> None:
    method, path = route.split(" ")
    for name, body in _HOSTILE.items():
        if method == "DELETE" and name in ("nothing", "null"):
            continue
        answer = shared.request(
            method, path, content=body, headers={"Content-Type": "application/json"}
        )
        assert error_body(answer, 400, path)["details"], name


@pytest.mark.parametrize("route", _BODIES)
def test_other_content_types_and_sizes_are_rejected(shared: Client, route: str) -> None:
    method, path = route.split(" ")
    body = json.dumps(_BODIES[route]).encode()
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        error_body(shared.request(method, path, content=body, headers=headers), 415, path)
    large = body + b" " * MAX_BODY
    answer = shared.request(
        method, path, content=large, headers={"Content-Type": "application/json"}
    )
    error_body(answer, 413, path)


def test_unknown_paths_and_methods_return_the_error_body(shared: Client) -> None:
    error_body(shared.get("/api/nothing"), 404, "/api/nothing")
    error_body(shared.get("/api/markets/a/b/c"), 404, "/api/markets/a/b/c")
    answer = shared.put("/api/markets", json={})
    error_body(answer, 405, "/api/markets")
    assert "GET" in answer.headers["allow"]
    error_body(shared.get(f"/api/markets/{MARKET}"), 404, f"/api/markets/{MARKET}")


def test_every_response_has_the_security_headers(shared: Client) -> None:
    for url in ("/health", "/nothing", "/api/markets?limit=x", "/docs"):
        headers = shared.get(url, headers={"Origin": "http://localhost:3000"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["access-control-allow-origin"] == "http://localhost:3000"
    foreign = shared.get("/health", headers={"Origin": "https://evil.example"}).headers
    assert "access-control-allow-origin" not in foreign
    asked = {"Origin": "http://localhost:3004", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,content-type"
    preflight = shared.options("/api/markets", headers=asked)
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
