"""The JSON that existing clients read, route by route: names, casing, types, envelopes, statuses.

The members listed here are promises to clients in the field. Members may be added, never removed or
retyped. Values are tested elsewhere; writes that need a chain in ``test_chain``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair

from api.app import create_app
from tests.api import seed
from tests.api.wallets import header, proof, signed
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.statistics.refresh import refresh
from zmart_pipelines.store.engine import Role

Client = TestClient[Litestar]
Check = Callable[[Any], bool]
SOL = seed.SOL
ACTIVE, PROPOSED, FINALIZED, DISPUTED = (bytes([number]) * 32 for number in (1, 2, 3, 4))
ALICE, BOB = seed.wallet(1), seed.wallet(2)
ID, ADDRESS, WALLET = ACTIVE.hex(), seed.address_of(ACTIVE), str(ALICE.pubkey())
UNKNOWN = "ee" * 32
STATES = ("PROPOSED", "APPROVED", "ACTIVE", "RESOLVING", "DISPUTED", "FINALIZED", "CANCELLED")


def text(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and value != ""


def integer(value: Any) -> bool:
    """An integer; JavaScript's BigInt takes it as text."""
    return type(value) is int


def number(value: Any) -> bool:
    """A number that may have a fraction."""
    return type(value) in (int, float)


def moment(value: Any) -> bool:
    """A time that JavaScript's Date takes."""
    return isinstance(value, str) and bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value)
    )


def boolean(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def digits(value: Any) -> bool:
    """An integer as text."""
    return isinstance(value, str) and bool(re.fullmatch(r"-?\d+", value))


def state(value: Any) -> bool:
    """The program's word."""
    return value in STATES


def nullable(check: Check) -> Check:
    """Null, or what ``check`` takes."""
    return lambda value: value is None or check(value)


def texts(value: Any) -> bool:
    """A list of texts."""
    return isinstance(value, list) and all(map(text, value))


MARKET: dict[str, Check] = {
    "id": text,
    "on_chain_address": text,
    "question": text,
    "description": nullable(text),
    "category": nullable(text),
    "tags": texts,
    "state": state,
    "status": state,
    "creator_wallet": text,
    "creator": text,
    "resolver_wallet": nullable(text),
    "b_parameter": integer,
    "liquidity_parameter": integer,
    "initial_liquidity": integer,
    "current_liquidity": integer,
    "shares_yes": integer,
    "shares_no": integer,
    "total_yes_shares": integer,
    "total_no_shares": integer,
    "current_price_yes": number,
    "current_price_no": number,
    "total_volume": integer,
    "proposed_outcome": nullable(boolean),
    "final_outcome": nullable(boolean),
    "ipfs_evidence_hash": nullable(text),
    "proposal_likes": integer,
    "proposal_dislikes": integer,
    "dispute_agree": integer,
    "dispute_disagree": integer,
    "created_at": moment,
    "approved_at": nullable(moment),
    "activated_at": nullable(moment),
    "resolution_proposed_at": nullable(moment),
    "finalized_at": nullable(moment),
    "ends_at": nullable(moment),
    "is_cancelled": boolean,
    "updated_at": moment,
}
TRADE: dict[str, Check] = {
    "id": text,
    "market_id": text,
    "user_wallet": text,
    "user": text,
    "trade_type": lambda value: value in ("buy", "sell"),
    "outcome": boolean,
    "shares": integer,
    "cost": integer,
    "price_after": number,
    "tx_signature": text,
    "block_time": moment,
    "timestamp": moment,
    "created_at": moment,
}
VOTE: dict[str, Check] = {
    "market_id": text,
    "user_wallet": text,
    "vote": boolean,
    "voted_at": moment,
    "tx_signature": nullable(text),
}
COMMENT: dict[str, Check] = {
    "id": text,
    "market_id": text,
    "user_wallet": text,
    "content": text,
    "created_at": moment,
}
# (path, members of the answer, name of its list of rows, members of each row)
READS: list[tuple[str, dict[str, Check], str | None, dict[str, Check]]] = [
    (
        "/health",
        {"status": text, "timestamp": moment, "uptime": number, "environment": text},
        None,
        {},
    ),
    (
        "/api/markets",
        {"count": integer, "limit": integer, "offset": integer},
        "markets",
        MARKET,
    ),
    (
        "/api/markets/activity?limit=20",
        {"count": integer},
        "activities",
        {
            "id": text,
            "type": lambda value: value in ("trade", "resolution", "creation"),
            "user": lambda value: bool(re.fullmatch(r"\w{6}\.\.\.\w{4}", value)),
            "action": text,
            "market": text,
            "marketId": text,
            "time": moment,
        },
    ),
    (
        "/api/markets/trending?limit=3",
        {"count": integer},
        "trending",
        {
            "id": text,
            "question": text,
            "yesPrice": number,
            "change24h": number,
            "volume24h": number,
            "uniqueTraders": integer,
            "trendingScore": number,
        },
    ),
    (
        "/api/markets/categories",
        {"count": integer},
        "categories",
        {
            "id": text,
            "name": text,
            "count": integer,
            "emoji": text,
            "trend": lambda value: bool(re.fullmatch(r"[+-]\d+%", value)),
        },
    ),
    (
        f"/api/markets/{ID}/related?limit=3",
        {"count": integer},
        "related",
        {
            "id": text,
            "question": text,
            "yesPrice": number,
            "category": nullable(text),
            "categoryMatch": boolean,
        },
    ),
    (f"/api/markets/{ID}", MARKET, None, {}),
    (f"/api/markets/{ADDRESS}", MARKET, None, {}),
    (
        f"/api/markets/{ID}/trades?limit=50",
        {"count": integer, "market_id": text},
        "trades",
        TRADE,
    ),
    (
        f"/api/markets/{PROPOSED.hex()}/votes?type=proposal",
        {"market_id": text, "type": lambda value: value == "proposal"},
        "votes",
        VOTE,
    ),
    (
        f"/api/markets/{DISPUTED.hex()}/votes?type=dispute",
        {"market_id": text, "type": lambda value: value == "dispute"},
        "votes",
        VOTE,
    ),
    (f"/api/markets/{ID}/stats", {"market_id": text}, None, {}),
    (
        f"/api/markets/{ID}/price-history?limit=50",
        {"market_id": text, "count": integer},
        "price_history",
        {
            "timestamp": moment,
            "yes": lambda value: number(value) and 0 < value < 100,
            "no": lambda value: number(value) and 0 < value < 100,
        },
    ),
    (f"/api/discussions/{ID}", {"count": integer, "market_id": text}, "discussions", COMMENT),
    (f"/api/markets/{ID}/discussions", {"count": integer}, "discussions", COMMENT),
    (f"/api/users/{WALLET}", {"wallet": text}, None, {}),
    (f"/api/users/{WALLET}/trades", {"count": integer, "wallet": text}, "trades", TRADE),
    (
        f"/api/users/{WALLET}/votes?type=all",
        {"total": integer, "wallet": text, "dispute_votes": lambda rows: rows == []},
        "proposal_votes",
        VOTE,
    ),
]
# What answers a bare list, as the existing frontend needs it.
BARE_LISTS: list[tuple[str, dict[str, Check]]] = [
    (
        f"/api/positions/{WALLET}",
        {
            "id": text,
            "market_id": text,
            "user": text,
            "yes_shares": integer,
            "no_shares": integer,
            "created_at": moment,
            "updated_at": moment,
        },
    ),
    (
        f"/api/users/{WALLET}/positions",
        {
            "market_id": text,
            "question": text,
            "shares_yes": digits,
            "shares_no": digits,
            "total_invested": digits,
            "current_value": digits,
            "unrealized_pnl": digits,
            "roi": number,
            "state": lambda value: value in range(7),
        },
    ),
]


def conforms(answer: Any, members: dict[str, Check]) -> None:
    """Assert that each member is there and is what clients expect."""
    missing = sorted(members.keys() - answer.keys())
    assert not missing, missing
    wrong = {name: answer[name] for name, check in members.items() if not check(answer[name])}
    assert not wrong, wrong


@pytest.fixture(scope="module")
def client(module_settings: Settings) -> Iterator[Client]:
    """The app on a database in which every list has a row."""
    _fill(module_settings)
    with TestClient(create_app(module_settings), raise_server_exceptions=False) as made:
        for wallet, market_id, kind, choice in (
            (ALICE, PROPOSED, "proposal", "like"),
            (BOB, PROPOSED, "proposal", "dislike"),
            (BOB, DISPUTED, "dispute", "agree"),
        ):
            assert cast(made, wallet, market_id, choice, kind).status_code == 201
        body = {"market_id": ID, "content": "Rain is likely."}
        answer = made.post("/api/discussions", json=signed(made, ALICE, "/api/discussions", body))
        assert answer.status_code == 201, answer.text
        yield made


def _fill(settings: Settings) -> None:
    now = int(time.time())
    assert settings.database_url_ingest is not None
    url = settings.database_url_ingest.get_secret_value()
    ledger = role_engine(Role.INGEST, url)
    with ledger.begin() as conn:
        states = {ACTIVE: 2, PROPOSED: 0, FINALIZED: 5, DISPUTED: 4}
        for age, (market_id, code) in enumerate(states.items(), 1):
            seed.market(conn, market_id, state=code, created_at=now - 1000 * age)
        for count in (1, 2):
            seed.trade(conn, ACTIVE, ALICE, count, traded_at=now - 100 + count)
        seed.position(conn, ACTIVE, ALICE)
        seed.position(conn, DISPUTED, BOB)
    ledger.dispose()
    owner = role_engine(Role.OWNER, url)
    with owner.begin() as conn:
        seed.question(conn, ACTIVE, "Will it rain in Ghent tomorrow?")
        seed.question(conn, PROPOSED, "Will it snow in Ghent tomorrow?")
    owner.dispose()
    pipelines = role_engine(Role.PIPELINES, url)
    refresh(pipelines, now=now)
    pipelines.dispose()


def cast(
    client: Client, wallet: Keypair, market_id: bytes, choice: str, kind: str = "proposal"
) -> httpx.Response:
    """Cast the wallet's ballot."""
    text = client.get(f"/api/votes/{kind}/{market_id.hex()}/message?vote={choice}").json()
    body = {"market_id": market_id.hex(), "vote": choice}
    return client.post(f"/api/votes/{kind}", json=body | proof(wallet, text["message"]))


@pytest.mark.parametrize(("path", "members", "rows", "row"), READS, ids=[one[0] for one in READS])
def test_read(
    client: Client, path: str, members: dict[str, Check], rows: str | None, row: dict[str, Check]
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    conforms(body, members)
    if rows is not None:
        assert body[rows], "the fixture has a row for every list"
        for one in body[rows]:
            conforms(one, row)


@pytest.mark.parametrize(("path", "row"), BARE_LISTS, ids=[one[0] for one in BARE_LISTS])
def test_bare_list(client: Client, path: str, row: dict[str, Check]) -> None:
    body = client.get(path).json()
    assert isinstance(body, list)
    assert body
    for one in body:
        conforms(one, row)


def test_nested_figures(client: Client) -> None:
    stats = client.get(f"/api/markets/{ID}/stats").json()["stats"]
    conforms(
        stats,
        dict.fromkeys(
            ("total_volume", "total_trades", "unique_traders", "buy_volume", "sell_volume"), integer
        ),
    )
    votes = client.get(f"/api/markets/{PROPOSED.hex()}/votes?type=proposal").json()["stats"]
    assert (votes["likes"], votes["dislikes"], votes["total"]) == (1, 1, 2)
    assert votes["approval_rate"] == "50.00"
    figures = client.get(f"/api/users/{WALLET}").json()["stats"]
    names = ("total_trades", "total_votes", "proposal_votes", "dispute_votes", "discussions")
    conforms(figures, dict.fromkeys(names, integer))
    assert figures["proposal_votes"] == figures["discussions"] == 1
    both = client.get(f"/api/votes/{PROPOSED.hex()}").json()
    conforms(both["proposal_votes"], {"likes": integer, "dislikes": integer})
    conforms(both["dispute_votes"], {"likes": integer, "dislikes": integer})


def test_counts_of_the_vote_aggregator(client: Client) -> None:
    body = client.get(f"/api/votes/proposal/{PROPOSED.hex()}").json()
    conforms(body, {"success": boolean, "marketId": text})
    assert (body["counts"]["likes"], body["counts"]["dislikes"], body["counts"]["total"]) == (
        1,
        1,
        2,
    )
    body = client.get(f"/api/votes/dispute/{DISPUTED.hex()}").json()
    conforms(body["counts"], {"agrees": integer, "disagrees": integer, "total": integer})


def test_states_filter_by_word_and_number(client: Client) -> None:
    for query in ("state=ACTIVE", "state=2"):
        body = client.get(f"/api/markets?{query}").json()
        assert [row["id"] for row in body["markets"]] == [ID]
    assert client.get("/api/markets?state=0").json()["markets"][0]["id"] == PROPOSED.hex()


def test_figures_that_the_frontend_turns_into_integers(client: Client) -> None:
    for row in client.get("/api/markets").json()["markets"]:
        assert row["b_parameter"] > 0
        assert max(row["shares_yes"], row["shares_no"]) <= 20 * row["b_parameter"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/markets?limit=0",
        f"/api/markets/{ID}/trades?limit=0",
        f"/api/discussions/{ID}?limit=0",
        f"/api/users/{WALLET}/trades?limit=0",
    ],
)
def test_limit_zero_is_an_empty_page(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_unknown_resources_are_404_with_the_error_body(client: Client) -> None:
    for path in (f"/api/markets/{UNKNOWN}", "/api/markets/not-an-id", "/api/nowhere"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        body = answer.json()
        conforms(body, {"error": text, "message": text, "status": integer, "timestamp": moment})
        assert body["error"] == "Not Found"


def test_discussions_are_created_and_deleted_by_their_author(client: Client) -> None:
    body = {"market_id": ID, "content": "A second comment."}
    created = client.post("/api/discussions", json=signed(client, BOB, "/api/discussions", body))
    assert created.status_code == 201
    conforms(created.json(), {"message": text})
    conforms(created.json()["discussion"], COMMENT)
    path = f"/api/discussions/{created.json()['discussion']['id']}"
    deleted = client.request("DELETE", path, json=signed(client, BOB, path))
    assert deleted.status_code == 200
    conforms(deleted.json(), {"message": text})


def test_votes_answer_the_stored_row_and_conflicts_are_409(client: Client) -> None:
    wallet = seed.wallet(77)
    answer = cast(client, wallet, PROPOSED, "like")
    assert answer.status_code == 201
    body = answer.json()
    row = {name: check for name, check in VOTE.items() if name != "tx_signature"}
    conforms(body["data"][0], row)
    assert body["count"] == 1
    conforms(
        body["metadata"],
        {"message": text, "market_id": text, "vote_type": text, "user_wallet": text},
    )
    assert cast(client, wallet, PROPOSED, "dislike").status_code == 409


def test_the_body_is_checked_before_the_signature(client: Client) -> None:
    assert client.post("/api/votes/proposal", json={}).status_code == 400
    assert client.post("/api/discussions", content=b"not json").status_code in (400, 415)
    body = {"market_id": ID, "content": "unsigned"}
    assert client.post("/api/discussions", json=body).status_code == 401


def test_the_frontends_header_is_understood(client: Client) -> None:
    """The frontend sends it with reads, which need no proof."""
    answer = client.get(f"/api/users/{WALLET}/positions", headers=header(ALICE))
    assert answer.status_code == 200
    assert isinstance(answer.json(), list)


def test_browsers_may_send_the_frontends_headers(client: Client) -> None:
    answer = client.options(
        "/api/markets",
        headers={
            "Origin": "http://localhost:3001",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3001"
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
