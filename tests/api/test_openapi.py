"""The OpenAPI document describes what is served; its page needs no internet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient

Client = TestClient[Litestar]
DOCS = Path(__file__).parents[2] / "docs"
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def described(client: Client) -> dict[str, Any]:
    """The OpenAPI document."""
    answer: dict[str, Any] = client.get("/docs/openapi.json").json()
    return answer


def test_document_lists_exactly_the_served_routes(client: Client) -> None:
    served = set()
    for route in client.app.routes:
        path = _PARAMETER.sub("{}", route.path)
        if path.startswith(("/docs", "/app")) or path in ("/", "/ws"):
            continue
        served |= {
            (method, path) for method in getattr(route, "methods", ()) if method != "OPTIONS"
        }
    paths = described(client)["paths"]
    described_operations = {
        (method.upper(), _PARAMETER.sub("{}", path))
        for path, item in paths.items()
        for method in item
    }
    assert described_operations == served
    assert len(described_operations) >= 25


def test_every_path_is_in_the_documentation(client: Client) -> None:
    """By its fixed parts: the documentation names parameters as it likes, or joins paths."""
    text = "\n".join(
        (DOCS / name).read_text()
        for name in (
            "actions.md",
            "api.md",
            "ballots.md",
            "community.md",
            "operations.md",
            "realtime.md",
            "transactions.md",
        )
    )
    missing = [path for path in described(client)["paths"] if not _is_named(path, text)]
    assert missing == []


def _is_named(path: str, text: str) -> bool:
    parts = [re.escape(part) for part in _PARAMETER.split(path)[::2]]
    return re.search(r"\{\w+\}".join(parts) + r"(?![\w/])", text) is not None


def test_operations_have_ids_tags_errors_and_bodies(client: Client) -> None:
    document = described(client)
    names = []
    for item in document["paths"].values():
        for method, operation in item.items():
            names.append(operation["operationId"])
            assert operation["tags"], operation["operationId"]
            assert len(operation["summary"]) > 12, operation["summary"]
            assert "503" in operation["responses"]
            if method != "get":
                # Sessions are ended by their ids alone, a ticket is for whoever asks.
                if names[-1] not in ("end_session", "create_realtime_ticket"):
                    assert {"400", "413", "415"} <= set(operation["responses"])
                    assert "requestBody" in operation
                # What is to be signed is composed for anyone; to sign in, the body is the proof.
                named = bool(operation.get("security"))
                is_open = names[-1].endswith(("_text", "_transaction"))
                assert named == (not is_open and "sign_wallet_in" not in names[-1]), names[-1]
                assert ("401" in operation["responses"]) == (not is_open), names[-1]
            for status, answer in operation["responses"].items():
                schema = str(answer.get("content", {}).get("application/json", {}))
                assert ("ErrorBody" in schema) == (status >= "400"), (names[-1], status)
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", name) for name in names), names
    assert not [name for name in document["components"]["schemas"] if "_" in name]
    assert {"list_markets", "get_market", "list_market_trades", "cast_vote"} <= set(names)
    assert "receive_helius_webhook_alias2" in names


def test_frames_and_exact_integers_are_described(client: Client) -> None:
    schemas = described(client)["components"]["schemas"]
    trade, frame = schemas["Trade"], schemas["TradeFrame"]
    assert frame["properties"].keys() - trade["properties"].keys() == {
        "tradeId",
        "trader",
        "side",
        "price",
        "priceYes",
        "priceNo",
    }
    assert {"VoteFrame", "MarketStateFrame", "CommentFrame", "Message"} <= schemas.keys()
    assert "exact" in trade["required"]
    for name, schema in schemas.items():
        for reference in re.findall(r"'#/components/schemas/(\w+)'", str(schema)):
            assert reference in schemas, (name, reference)


def test_exact_names_the_integers_that_it_repeats(client: Client) -> None:
    schemas = described(client)["components"]["schemas"]
    for name in ("Trade", "TradeFrame"):
        exact = schemas[name]["properties"]["exact"]
        assert set(exact["properties"]) == set(exact["required"]) == {"shares", "cost"}, name
    event = schemas["Event"]["properties"]["exact"]
    assert event["additionalProperties"] == {"type": "string"}, "its members depend on the event"


def test_texts_in_bodies_are_described_without_nul(client: Client) -> None:
    body = described(client)["components"]["schemas"]["RefreshRequest"]
    (pattern,) = (
        one["pattern"]
        for one in body["properties"]["refresh_token"]["oneOf"]
        if one["type"] == "string"
    )
    assert re.search(pattern, "token")
    assert not re.search(pattern, "to\0ken")
    sent = client.post("/api/auth/logout", json={"refresh_token": "to\0ken"})
    assert sent.status_code == 400, sent.text


def test_older_paths_of_a_handler_have_the_numbered_ids(client: Client) -> None:
    """The order of a handler's paths, kept in a set, decides nothing."""
    paths = described(client)["paths"]
    assert list(paths) == sorted(paths)
    assert [
        paths[path]["post"]["operationId"]
        for path in ("/api/webhooks/helius", "/webhooks/events", "/helius/webhook")
    ] == [
        "receive_helius_webhook",
        "receive_helius_webhook_alias1",
        "receive_helius_webhook_alias2",
    ]
    assert paths["/api/markets/{market}/discussions"]["get"]["operationId"] == "list_discussions"


def test_documentation_page_needs_no_other_server(client: Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith("/docs/assets/"), link
        assert client.get(link).status_code == 200
    assert "script-src 'self' 'unsafe-inline'" in page.headers["content-security-policy"]
    assert client.get("/", follow_redirects=False).headers["location"] == "/docs"
