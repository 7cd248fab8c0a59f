"""Markets as Solana Actions: cards by state, what their buttons prepare, headers, errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.errors import ApiError
from api.middleware.action_headers import action_headers
from api.solana_actions.cards import percent
from api.solana_actions.sol_amounts import lamports
from tests.api import seed
from tests.api.seed import SOL
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.wallet_transactions.amounts import MAX_LAMPORTS
from zmart_pipelines.wallet_transactions.wording import decimal

Client = TestClient[Litestar]
MARKET = b"\x07" * 32
ORIGIN = "https://api.example.com"
URL = f"/api/actions/{MARKET.hex()}"
ACCOUNT = str(seed.wallet(1).pubkey())


@pytest.fixture
def proxied(api_settings: Settings) -> Iterator[Client]:
    """An API that clients reach under another origin than its own."""
    settings = api_settings.model_copy(update={"public_url": ORIGIN, "solana_cluster": "devnet"})
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        yield made


def card(client: Client, ledger: Engine, state: MarketState, **values: Any) -> Any:
    """The card of a new market in this state."""
    with ledger.begin() as conn:
        seed.market(conn, MARKET, state=state, **values)
    answer = client.get(URL)
    assert answer.status_code == 200, answer.text
    return answer.json()


def buttons(shown: Any) -> dict[str, str]:
    """The buttons' addresses by their labels."""
    return {one["label"]: one["href"] for one in shown["links"]["actions"]}


def test_active_market_is_bought_by_amount(proxied: Client, ledger: Engine) -> None:
    shown = card(proxied, ledger, MarketState.ACTIVE, price_yes=531_400_000)
    assert shown["title"] == "Market 07070707"
    assert shown["description"].startswith("YES 53.1 %, NO 46.9 %.")
    assert buttons(shown) == {
        "Buy YES": f"{ORIGIN}{URL}/buy?side=yes&amount={{amount}}",
        "Buy NO": f"{ORIGIN}{URL}/buy?side=no&amount={{amount}}",
    }
    (amount,) = shown["links"]["actions"][0]["parameters"]
    assert (amount["name"], amount["type"], amount["required"]) == ("amount", "number", True)
    assert not {"disabled", "error"} & shown.keys()


@pytest.mark.parametrize(
    ("state", "values", "labels"),
    [
        (MarketState.PROPOSED, {}, ["Like", "Dislike"]),
        (
            MarketState.RESOLVING,
            {"proposed_outcome": True, "resolution_proposed_at": 2_000_000_000},
            ["Dispute the outcome"],
        ),
        (MarketState.DISPUTED, {"proposed_outcome": False}, ["NO is wrong", "NO is right"]),
        (MarketState.FINALIZED, {"final_outcome": True}, ["Claim"]),
        (MarketState.FINALIZED, {"final_outcome": None}, ["Claim"]),
    ],
)
def test_buttons_are_what_the_state_permits(
    client: Client, ledger: Engine, state: MarketState, values: dict[str, Any], labels: list[str]
) -> None:
    shown = card(client, ledger, state, **values)
    assert list(buttons(shown)) == labels
    assert all("parameters" not in one for one in shown["links"]["actions"])


@pytest.mark.parametrize(
    ("state", "values"),
    [
        (MarketState.APPROVED, {}),
        (MarketState.CANCELLED, {}),
        (MarketState.RESOLVING, {"proposed_outcome": True, "resolution_proposed_at": 1}),
    ],
)
def test_states_without_acts_are_disabled_with_the_reason(
    client: Client, ledger: Engine, state: MarketState, values: dict[str, Any]
) -> None:
    shown = card(client, ledger, state, **values)
    assert shown["disabled"] is True
    assert shown["error"]["message"]
    assert "links" not in shown


def test_pause_disables_buying_and_the_configured_period_ends_disputes(
    client: Client, ledger: Engine
) -> None:
    with ledger.begin() as conn:
        seed.configuration(
            conn, changed_at=1, min_resolution_delay=0, dispute_period=10**9, is_paused=True
        )
        seed.market(
            conn,
            b"\x08" * 32,
            state=MarketState.RESOLVING,
            proposed_outcome=True,
            resolution_proposed_at=1_700_000_000,
        )
    paused = card(client, ledger, MarketState.ACTIVE)
    assert "paused" in paused["error"]["message"]
    resolving = client.get(f"/api/actions/{'08' * 32}").json()
    assert list(buttons(resolving)) == ["Dispute the outcome"]


def test_addresses_are_absolute_whatever_host_is_asked(proxied: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET)
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    shown = proxied.get(URL, headers=headers)
    assert shown.json()["icon"] == f"{ORIGIN}{URL}/icon.svg"
    rules = proxied.get("/actions.json", headers=headers)
    assert "evil" not in shown.text + rules.text
    assert rules.json()["rules"] == [
        {"pathPattern": "/markets/*", "apiPath": f"{ORIGIN}/api/actions/*"},
        {"pathPattern": "/api/actions/**", "apiPath": f"{ORIGIN}/api/actions/**"},
    ]


def test_address_of_the_market_names_it_too(client: Client, ledger: Engine) -> None:
    by_id = card(client, ledger, MarketState.ACTIVE)
    assert client.get(f"/api/actions/{seed.address_of(MARKET)}").json() == by_id


def test_icon_is_a_picture_with_the_price(client: Client, ledger: Engine) -> None:
    card(client, ledger, MarketState.ACTIVE, price_yes=250_000_000)
    icon = client.get(f"{URL}/icon.svg")
    assert icon.headers["content-type"].startswith("image/svg+xml")
    assert "25.0 %" in "".join(ElementTree.fromstring(icon.text).itertext())  # noqa: S314


def test_any_page_may_read_every_answer_of_these_routes(proxied: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET)
    wanted = {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET,POST,PUT,OPTIONS",
        "access-control-expose-headers": "X-Action-Version, X-Blockchain-Ids",
        "x-action-version": "2.4",
        "x-blockchain-ids": "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
    }
    page = {"Origin": "https://social.example"}
    preflight = page | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-accept-action-version",
    }
    answers = [
        (proxied.get(URL), 200),
        (proxied.get(URL, headers=page), 200),
        (proxied.get(f"{URL}/icon.svg"), 200),
        (proxied.get("/actions.json"), 200),
        (proxied.options(URL), 204),
        (proxied.options("/actions.json", headers=preflight), 204),
        (proxied.options(f"{URL}/buy", headers=preflight), 204),
        (proxied.get(f"/api/actions/{'00' * 32}", headers=page), 404),
        (proxied.post(f"{URL}/claim", headers=page, json={"account": "x"}), 400),
        (proxied.post(f"{URL}/claim", headers=page, json={"account": ACCOUNT}), 503),
    ]
    for answer, status in answers:
        assert answer.status_code == status, answer.request.url
        assert wanted.items() <= answer.headers.items(), answer.request.url
        assert "access-control-allow-credentials" not in answer.headers
        assert "X-Accept-Action-Version" in answer.headers["access-control-allow-headers"]
        if status >= 400:
            assert answer.json()["message"]


def test_other_routes_stay_closed_to_other_pages(client: Client) -> None:
    page = {"Origin": "https://social.example"}
    for path in ("/api/markets", "/api/actionsx", "/api/transactions/prepare/claim"):
        assert "access-control-allow-origin" not in client.get(path, headers=page).headers
    refused = client.options(
        "/api/markets", headers=page | {"Access-Control-Request-Method": "GET"}
    )
    assert refused.json()["code"] == "cors_refused"


@pytest.mark.parametrize(
    ("rest", "body", "field"),
    [
        ("buy?side=yes&amount=0", {}, "amount"),
        ("buy?side=yes&amount=0.0000000001", {}, "amount"),
        ("buy?side=yes&amount=1000000.1", {}, "amount"),
        ("buy?side=yes&amount=1e3", {}, "amount"),
        ("buy?side=yes", {}, "amount"),
        ("buy?side=maybe&amount=1", {}, "side"),
        ("claim", {"account": "0"}, "account"),
        ("claim", {"signature": "x"}, "signature"),
        ("claim", {"type": "message"}, "type"),
        ("vote-proposal?vote=yes", {}, "vote"),
    ],
)
def test_faults_are_named_in_the_message(
    client: Client, ledger: Engine, rest: str, body: dict[str, Any], field: str
) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET)
    answer = client.post(f"{URL}/{rest}", json={"account": ACCOUNT} | body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith(f"{field}: ")


def test_clusters_are_identified_by_their_genesis() -> None:
    found = {
        name: dict(action_headers(name))[b"x-blockchain-ids"].decode()
        for name in ("mainnet", "localnet")
    }
    assert found == {
        "mainnet": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        "localnet": "solana:localnet",
    }
    assert all(re.fullmatch(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}", name) for name in found.values())


@given(st.integers(1, MAX_LAMPORTS))
def test_amounts_are_exact(amount: int) -> None:
    assert lamports(decimal(amount)) == amount


@pytest.mark.parametrize("text", ["", ".5", "5.", "-1", "1,5", "+1", "٣", "1.0000000001", "0.0"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ApiError):
        lamports(text)


@given(st.integers(0, SOL))
def test_percentages_of_both_sides_differ_from_100_by_a_tenth_at_most(price: int) -> None:
    yes, no = (float(percent(side).removesuffix(" %")) for side in (price, SOL - price))
    assert abs(yes - price / SOL * 100) <= 0.05 + 1e-9
    assert abs(yes + no - 100) <= 0.1 + 1e-9
