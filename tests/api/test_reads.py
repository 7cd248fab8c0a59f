"""Reads: every field that clients use, by id and by address."""

from __future__ import annotations

import time
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.api.seed import CREATED, SOL, address_of, market, position, question, trade, wallet
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.statistics.refresh import refresh
from zmart_pipelines.store.engine import Role

Client = TestClient[Litestar]
ONE, TWO, BIG = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
ALICE, BOB = wallet(1), wallet(2)
U64 = 2**64 - 1


@pytest.fixture
def rows(ledger: Engine, database: str) -> None:
    """Three markets; two have a question, one has trades, one has the largest numbers."""
    now = int(time.time())
    with ledger.begin() as conn:
        market(conn, ONE, created_at=now - 300, trades_count=3, total_volume=3 * SOL)
        market(
            conn,
            TWO,
            state=5,
            created_at=now - 200,
            was_disputed=True,
            proposed_outcome=True,
            final_outcome=False,
            resolver=bytes(BOB.pubkey()),
            resolution_proposed_at=now - 100,
            finalized_at=now - 50,
            commitment="finalized",
        )
        market(conn, BIG, state=0, created_at=now - 100, b_parameter=U64, shares_yes=U64)
        for number, (user, outcome, price) in enumerate(
            [(ALICE, True, 520_000_000), (BOB, False, 510_000_000), (ALICE, True, 533_333_333)], 1
        ):
            trade(
                conn,
                ONE,
                user,
                number,
                outcome=outcome,
                price_yes=price,
                traded_at=now - 40 + number,
            )
        position(conn, ONE, ALICE)
        position(conn, BIG, ALICE, shares_yes=U64, total_invested=U64, last_trade_at=CREATED)
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        question(conn, ONE, "Will it rain in Ghent tomorrow?")
        question(conn, TWO, "Will it snow in Ghent tomorrow?")
    owner.dispose()


def read(client: Client, url: str) -> Any:
    """GET, successfully."""
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("rows")
def test_market_list_is_newest_first_filtered_and_paged(client: Client) -> None:
    page = read(client, "/api/markets")
    assert [row["id"] for row in page["markets"]] == [BIG.hex(), TWO.hex(), ONE.hex()]
    assert (page["count"], page["limit"], page["offset"]) == (3, 20, 0)
    for query in ("state=ACTIVE", "state=active", "state=2"):
        page = read(client, f"/api/markets?{query}")
        assert [row["id"] for row in page["markets"]] == [ONE.hex()]
        assert page["count"] == 1
    assert read(client, "/api/markets?state=0")["markets"][0]["id"] == BIG.hex()
    page = read(client, "/api/markets?category=science&limit=1&offset=1")
    assert [row["id"] for row in page["markets"]] == [ONE.hex()]
    assert page["count"] == 2
    assert read(client, "/api/markets?limit=0")["markets"] == []
    assert read(client, "/api/markets?category=sports")["count"] == 0


@pytest.mark.usefixtures("rows")
def test_market_has_every_field_name_that_clients_read(client: Client) -> None:
    row = read(client, f"/api/markets/{TWO.hex()}")
    assert row == read(client, f"/api/markets/{address_of(TWO)}")
    assert row == read(client, f"/api/markets/{TWO.hex().upper()}")
    expected = {
        "id": TWO.hex(),
        "on_chain_address": address_of(TWO),
        "question": "Will it snow in Ghent tomorrow?",
        "state": "FINALIZED",
        "status": "FINALIZED",
        "state_code": 5,
        "was_disputed": True,
        "proposed_outcome": True,
        "final_outcome": False,
        "resolver_wallet": str(BOB.pubkey()),
        "commitment": "finalized",
        "b_parameter": 100 * SOL,
        "liquidity_parameter": 100 * SOL,
        "shares_yes": SOL // 10,
        "total_yes_shares": SOL // 10,
        "price_yes": SOL // 2,
        "price_no": SOL // 2,
        "current_price_yes": 0.5,
        "category": "science",
        "tags": ["one", "two"],
        "ends_at": "2031-01-01T00:00:00.000Z",
        "approved_at": None,
        "is_cancelled": False,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["creator"] == row["creator_wallet"]
    assert row["created_at"].endswith("Z")
    assert row["finalized_at"] > row["resolution_proposed_at"] > row["created_at"]
    bare = read(client, f"/api/markets/{BIG.hex()}")
    assert bare["question"] == f"Market {BIG.hex()[:8]}"
    assert (bare["category"], bare["description"], bare["ends_at"]) == (None, None, None)


@pytest.mark.usefixtures("rows")
def test_largest_integers_are_exact(client: Client) -> None:
    answer = client.get(f"/api/markets/{BIG.hex()}")
    assert f'"b_parameter":{U64},' in answer.text.replace(" ", "")
    assert answer.json()["exact"]["shares_yes"] == str(U64)
    rows = read(client, f"/api/positions/{ALICE.pubkey()}")
    assert rows[1]["shares_yes"] == U64
    assert rows[1]["exact"]["total_invested"] == str(U64)


@pytest.mark.usefixtures("rows")
def test_holders_of_a_market_are_those_with_the_largest_investment_first(client: Client) -> None:
    found = read(client, f"/api/markets/{BIG.hex()}/holders")
    (holder,) = found["holders"]
    (position,) = (
        row
        for row in read(client, f"/api/positions/{ALICE.pubkey()}")
        if row["market_id"] == BIG.hex()
    )
    assert holder["user_wallet"] == str(ALICE.pubkey())
    for name in ("shares_yes", "total_invested", "current_value", "status"):
        assert holder[name] == position[name]
    assert holder["exact"]["shares_yes"] == str(U64)
    invested = [
        row["total_invested"]
        for row in read(client, f"/api/markets/{ONE.hex()}/holders")["holders"]
    ]
    assert invested == sorted(invested, reverse=True)
    assert client.get(f"/api/markets/{'ee' * 32}/holders").status_code == 404


@pytest.mark.usefixtures("rows")
def test_trades_are_listed_in_either_order_by_id_and_address(client: Client) -> None:
    page = read(client, f"/api/markets/{ONE.hex()}/trades")
    assert [row["slot"] for row in page["trades"]] == [3, 2, 1]
    assert (page["count"], page["total"], page["market_id"]) == (3, 3, ONE.hex())
    first = read(client, f"/api/markets/{address_of(ONE)}/trades?order=asc&limit=1")["trades"][0]
    assert first["user_wallet"] == first["user"] == str(ALICE.pubkey())
    assert (first["outcome"], first["outcome_label"]) == (True, "YES")
    assert (first["shares"], first["cost"]) == (10 * SOL, SOL)
    assert first["exact"] == {"shares": str(10 * SOL), "cost": str(SOL)}
    assert first["timestamp"] == first["block_time"]
    assert client.get(f"/api/markets/{'ee' * 32}/trades").status_code == 404


@pytest.mark.usefixtures("rows")
def test_market_stats_price_history_and_discovery(client: Client) -> None:
    stats = read(client, f"/api/markets/{address_of(ONE)}/stats")["stats"]
    assert stats["total_volume"] == stats["buy_volume"] == stats["volume_24h"] == 3 * SOL
    assert (stats["total_trades"], stats["unique_traders"], stats["sell_volume"]) == (3, 2, 0)

    history = read(client, f"/api/markets/{ONE.hex()}/price-history")
    assert [point["yes"] for point in history["price_history"]] == [50, 52, 51, 53.3333]
    assert history["price_history"][3]["no"] == 46.6667
    assert history["price_history"][3]["price_yes"] == 533_333_333
    newest = read(client, f"/api/markets/{ONE.hex()}/price-history?limit=2")["price_history"]
    assert [point["yes"] for point in newest] == [51, 53.3333]

    (trending,) = read(client, "/api/markets/trending")["trending"]
    assert trending["id"] == ONE.hex()
    assert trending["volume24h"] == 3
    assert trending["uniqueTraders"] == 2
    assert trending["yesPrice"] == 0.5
    assert trending["trendingScore"] == pytest.approx(0.6 * 3 + 0.4 * 2)

    (category,) = read(client, "/api/markets/categories")["categories"]
    assert (category["id"], category["name"], category["count"]) == ("science", "Science", 2)
    assert category["emoji"]
    assert category["trend"].endswith("%")

    related = read(client, f"/api/markets/{TWO.hex()}/related")
    assert [(row["id"], row["categoryMatch"]) for row in related["related"]] == [
        (ONE.hex(), True),
        (BIG.hex(), False),
    ]
    assert client.get(f"/api/markets/{'ee' * 32}/related").status_code == 404


@pytest.mark.usefixtures("rows")
def test_activity_feed(client: Client) -> None:
    feed = read(client, "/api/markets/activity")
    assert len(feed["activities"]) == feed["count"] == 7
    assert len({item["id"] for item in feed["activities"]}) == 7
    newest = feed["activities"][0]
    key = str(ALICE.pubkey())
    assert newest["type"] == "trade"
    assert newest["user"] == f"{key[:6]}...{key[-4:]}"
    assert newest["action"] == "bought YES"
    assert newest["amount"] == "1.00 SOL"
    assert newest["market"] == "Will it rain in Ghent tomorrow?"
    assert newest["marketId"] == ONE.hex()
    assert newest["time"].endswith("Z")
    (resolution,) = read(client, "/api/markets/activity?type=resolution")["activities"]
    assert "amount" not in resolution
    assert len(read(client, "/api/markets/activity?type=creation&limit=2")["activities"]) == 2


@pytest.mark.usefixtures("rows")
def test_wallets(client: Client) -> None:
    alice = str(ALICE.pubkey())
    stats = read(client, f"/api/users/{alice}")["stats"]
    assert (stats["total_trades"], stats["total_volume"], stats["total_votes"]) == (2, 2 * SOL, 0)
    trades = read(client, f"/api/users/{alice}/trades?limit=1")
    assert (trades["count"], trades["total"], trades["wallet"]) == (1, 2, alice)
    votes = read(client, f"/api/users/{alice}/votes")
    assert votes == {
        "proposal_votes": [],
        "dispute_votes": [],
        "count": 0,
        "total": 0,
        "limit": 100,
        "offset": 0,
        "next": None,
        "wallet": alice,
    }

    holdings = read(client, f"/api/users/{alice}/positions")
    assert isinstance(holdings, list)
    first = holdings[0]
    assert first["market_id"] == ONE.hex()
    assert (first["state"], first["shares_yes"], first["total_invested"]) == (
        2,
        str(10 * SOL),
        str(SOL),
    )
    for name in ("current_value", "unrealized_pnl"):
        int(first[name])
    numbers = read(client, f"/api/positions/{alice}")[0]
    assert numbers["yes_shares"] == numbers["shares_yes"] == 10 * SOL
    assert numbers["user"] == alice
    assert numbers["created_at"] < numbers["updated_at"]
    assert read(client, f"/api/positions/{BOB.pubkey()}") == []


@pytest.mark.usefixtures("rows")
def test_wallet_results_are_the_same_before_and_after_a_refresh(
    client: Client, database: str
) -> None:
    """Computed for one wallet where the pipelines have not been, else read from their tables."""
    alice = str(ALICE.pubkey())
    before = read(client, f"/api/users/{alice}")["stats"]
    pipelines = role_engine(Role.PIPELINES, database)
    refresh(pipelines)
    pipelines.dispose()
    after = read(client, f"/api/users/{alice}")["stats"]
    held = read(client, f"/api/positions/{alice}")
    assert after == before
    assert after["invested"] == sum(one["total_invested"] for one in held) == SOL + U64
    assert after["exact"]["invested"] == str(SOL + U64)
    assert after["open_value"] == sum(one["current_value"] for one in held) > 0
    assert (after["realised_pnl"], after["settled_markets"]) == (0, 0)
    flat = read(client, f"/api/users/{alice}/stats")
    assert flat["wallet"] == alice
    assert flat["as_of"].endswith("Z")
    assert {name: flat[name] for name in after} == after


def test_empty_database_returns_empty_lists(client: Client) -> None:
    assert read(client, "/api/markets") == {
        "markets": [],
        "count": 0,
        "count_capped": False,
        "offset": 0,
        "limit": 20,
        "next": None,
    }
    for name in ("trending", "categories"):
        empty = read(client, f"/api/markets/{name}")
        assert (empty[name], empty["count"]) == ([], 0)
        assert empty["as_of"].endswith("Z")
    assert read(client, "/api/markets/activity") == {
        "activities": [],
        "count": 0,
        "limit": 20,
        "next": None,
    }
    unknown = "ee" * 32
    assert client.get(f"/api/markets/{unknown}/price-history").status_code == 404
