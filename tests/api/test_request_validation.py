"""All that is invalid in a request is named at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from solders.keypair import Keypair

from api.app import create_app
from tests.api.seed import wallet
from tests.api.wallets import signed_in
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]
MARKET = "ab" * 32
NAMES = {
    "market": MARKET,
    "wallet": str(wallet(1).pubkey()),
    "discussion": "00000000-0000-0000-0000-000000000000",
    "cid": "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
    "kind": "proposal",
    "service": "pipelines",
    "signature": str(wallet(1).sign_message(b"x")),
}
_NAME = re.compile(r"\{(\w+):\w+\}")


@pytest.fixture(scope="module")
def shared(module_settings: Settings) -> Iterator[Client]:
    """One client for all cases of this module: none of them may write."""
    with TestClient(create_app(module_settings), raise_server_exceptions=False) as client:
        yield client


def routes(client: Client) -> list[tuple[str, str]]:
    """Every documented route: its method and its path's template."""
    return sorted(
        (handler_method, route.path)
        for route in client.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.resolve_include_in_schema()
        for handler_method in handler.http_methods - {"OPTIONS", "HEAD"}
    )


def named(template: str, **names: str) -> str:
    """A path with well-formed names of resources that do not exist."""
    return _NAME.sub(lambda match: (NAMES | names).get(match[1], "1"), template)


def fields(answer: Any) -> set[str]:
    """The fields that an error names."""
    return {detail["field"] for detail in answer.json()["details"]}


def test_unknown_query_parameters_are_rejected_by_every_route(shared: Client) -> None:
    known = routes(shared)
    assert len(known) > 30
    for method, template in known:
        answer = shared.request(method, named(template), params={"surprise": "1"})
        body = answer.json()
        assert (answer.status_code, body["code"]) == (400, "unknown_parameter"), (method, template)
        assert "surprise" in fields(answer)
    listed = shared.get("/api/markets/trending?surprise=1").json()["details"][0]["message"]
    assert "limit" in listed


def test_malformed_names_in_paths_are_not_found_by_every_route(shared: Client) -> None:
    codes = {
        "market": "market_not_found",
        "wallet": "wallet_not_found",
        "discussion": "comment_not_found",
        "cid": "file_not_found",
        "signature": "transaction_not_found",
        "service": "service_not_found",
        "kind": "not_found",
    }
    seen = set()
    for method, template in routes(shared):
        for name in codes.keys() & set(_NAME.findall(template)):
            path = named(template, **{name: "no,such name"})
            answer = shared.request(method, path)
            if name == "kind" and method == "POST":
                continue
            seen.add(name)
            assert answer.status_code == 404, (method, path, answer.text)
            assert answer.json()["code"] == codes[name], (method, path)
    assert {"market", "wallet", "discussion", "cid", "service", "kind"} <= seen


def test_unknown_markets_are_not_found_by_every_route(shared: Client) -> None:
    required = {"/quote": {"side": "yes", "shares": "1000000000"}, "/message": {"vote": "like"}}
    seen = 0
    for method, template in routes(shared):
        if method != "GET" or "{market:" not in template:
            continue
        query = required.get(template[template.rindex("/") :], {})
        answer = shared.get(named(template), params=query)
        body = answer.json()
        assert (answer.status_code, body["code"]) == (404, "market_not_found"), (template, body)
        seen += 1
    assert seen >= 12


def test_unknown_wallets_have_empty_answers(shared: Client) -> None:
    for method, template in routes(shared):
        if method == "GET" and "{wallet:" in template and "{market:" not in template:
            answer = shared.get(named(template))
            assert answer.status_code == 200, (template, answer.text)


def test_all_invalid_fields_of_a_body_are_named(shared: Client) -> None:
    body = {
        "question": "short",
        "category": "weather",
        "end_date": "2001-01-01T00:00:00Z",
        "liquidity": 0,
        "tags": ["ok", ""],
        "surprise": 1,
    }
    answer = shared.post("/api/markets", json=body | signed_in(Keypair()))
    assert answer.status_code == 400
    expected = {"question", "category", "end_date", "liquidity", "tags[1]", "surprise"}
    assert fields(answer) == expected
    assert answer.json()["code"] == "invalid_field"


def test_all_invalid_parameters_of_a_query_are_named(shared: Client) -> None:
    answer = shared.get("/api/markets?limit=x&offset=-1&sort=best&creator=me&surprise=1")
    assert answer.status_code == 400
    assert fields(answer) == {"limit", "offset", "sort", "creator", "surprise"}
    assert answer.json()["code"] == "unknown_parameter"


def test_malformed_names_in_queries_are_named_with_the_rest(shared: Client) -> None:
    answer = shared.get("/api/markets?creator=me&limit=x")
    assert (answer.status_code, fields(answer)) == (400, {"creator", "limit"})
    assert answer.json()["code"] == "invalid_field"


def test_query_headers_and_body_are_named_together(shared: Client) -> None:
    answer = shared.post(
        "/api/votes/proposal?surprise=1",
        json={"market_id": "x", "vote": "perhaps"},
        headers={"Idempotency-Key": "k" * 101},
    )
    assert answer.status_code == 400
    assert fields(answer) == {"surprise", "Idempotency-Key", "market_id", "vote"}
    answer = shared.post(
        "/api/votes/proposal?surprise=1",
        content=b"{",
        headers={"Content-Type": "application/json"},
    )
    assert fields(answer) == {"surprise", "body"}
    assert answer.json()["code"] == "invalid_json"


@pytest.mark.parametrize("path", ["/api/markets", "/api/votes/proposal", "/api/trades/buy"])
def test_missing_body_is_said_to_be_required(shared: Client, path: str) -> None:
    answer = shared.post(path)
    assert answer.json()["details"] == [{"field": "body", "message": "is required"}]


def test_optional_body_is_not_mentioned_when_a_parameter_is_invalid(shared: Client) -> None:
    """Litestar's own list then named ``data``, the parameter of the handler."""
    path = f"/api/discussions/{NAMES['discussion']}"
    assert fields(shared.delete(f"{path}?surprise=1")) == {"surprise"}
