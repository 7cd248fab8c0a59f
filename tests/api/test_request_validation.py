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
    "draft": "00000000-0000-0000-0000-000000000000",
    "cid": "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
    "kind": "proposal",
    "service": "pipelines",
    "session": "00000000-0000-0000-0000-000000000000",
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


# No parameter accepts both. A number that is too large is found by a type, a NUL by a rule alone.
REFUSED = ("!", "\0")


def invalid_values(client: Client, method: str, path: str, names: list[str]) -> dict[str, str]:
    """A value of each parameter of a query that is refused for it alone."""
    found = {}
    for name in names:
        for value in REFUSED:
            answer = client.request(method, path, params={name: value})
            if answer.status_code == 400 and name in fields(answer):
                found[name] = value
                break
    return found


def described(method: str, template: str) -> str:
    """A path of the document, in which handlers that share a path share its parameter."""

    def name(match: re.Match[str]) -> str:
        first, _, second = match[1].partition("_or_")
        return NAMES.get(second if second and method == "get" else first, "1")

    return re.sub(r"\{(\w+)\}", name, template)


def test_all_invalid_parameters_of_every_route_are_named(shared: Client) -> None:
    document = shared.get("/docs/openapi.json").json()
    named_parameters = 0
    for template, operations in document["paths"].items():
        for method, operation in operations.items():
            path = described(method, template)
            names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            invalid = invalid_values(shared, method, path, names)
            named_parameters += len(invalid)
            answer = shared.request(method, path, params=invalid | {"surprise": "1"})
            assert invalid.keys() | {"surprise"} <= fields(answer), (method, template)
            # A name that is unknown must not be what makes the others known.
            if invalid:
                answer = shared.request(method, path, params=invalid)
                assert invalid.keys() <= fields(answer), (method, template)
                assert len(fields(answer)) == len(answer.json()["details"])
    assert named_parameters > 100


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (
            "/api/markets?state=OPEN&category=x&ends_after=now&limit=x",
            "state category ends_after limit",
        ),
        ("/api/markets?sort=relevance&state=OPEN", "sort state"),
        ("/api/markets?sort=trending&order=asc&tag=%00&offset=-1", "order tag offset"),
        ("/api/markets?cursor=x&offset=1&price_min=-1", "cursor price_min"),
        ("/api/events?from=never&to=soon&cursor=x&limit=x", "from to cursor limit"),
        ("/api/users/{wallet}/pnl?from=never&to=soon&interval=2d", "from to interval"),
        ("/api/markets/{market}/candles?from=9&to=8&cursor=x&interval=2h", "from cursor interval"),
        ("/api/markets/{market}/quote?side=maybe", "side shares"),
        ("/api/markets/{market}/quote?shares=1&cost=1&side=maybe", "side cost"),
        ("/api/markets/{market}/quote?shares=0&cost=1", "side shares cost"),
        ("/api/markets/{market}?at=1&verify=true&x=1", "verify x"),
        ("/api/markets/{market}?at=never&verify=perhaps", "at verify"),
        ("/api/users/{wallet}/positions?at=x&status=open&state=OPEN", "at status state"),
        ("/api/users/{wallet}/positions/{market}?at=x&verify=true", "at verify"),
        ("/api/leaderboards?by=luck&cursor=x&offset=1", "by cursor"),
        ("/api/votes/proposal/{market}/message?vote=agree&x=1", "vote x"),
        (
            "/api/markets/activity?market=x&wallet=y&category=z&cursor=!",
            "market wallet category cursor",
        ),
    ],
)
def test_faults_of_types_and_of_rules_are_named_together(
    shared: Client, path: str, named: str
) -> None:
    answer = shared.get(path.format(**NAMES))
    assert answer.status_code == 400, answer.text
    assert fields(answer) == set(named.split())
    assert len(answer.json()["details"]) == len(named.split())


def test_vote_of_the_other_kind_is_named_with_the_rest(shared: Client) -> None:
    answer = shared.post("/api/votes/proposal", json={"market_id": "x", "vote": "agree"})
    assert (answer.status_code, fields(answer)) == (400, {"market_id", "vote"})
    answer = shared.post("/api/votes/dispute?x=1", json={"market_id": "x"})
    assert fields(answer) == {"market_id", "vote", "x"}


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
