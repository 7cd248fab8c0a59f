"""Trending markets, trends of categories, related markets: with real rows, in exact order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.api.seed import SOL, market, question, trade, wallet
from zmart_pipelines.client_schemas.formats import chain_time
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role

Client = TestClient[Litestar]
ONE, TWO, THREE, FOUR = (bytes([number]) * 32 for number in range(1, 5))
HOUR = 3_600


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


@pytest.fixture
def now(ledger: Engine, owner: Engine) -> int:
    """Four markets; a trade after the clock fixes the end of the last day. Returns that time."""
    moment = int(time.time()) + 10 * HOUR
    with ledger.begin() as conn:
        market(conn, ONE, created_at=moment - 30 * HOUR, total_volume=1)
        market(conn, TWO, created_at=moment - 2 * HOUR, total_volume=5)
        market(conn, THREE, created_at=moment - 3 * HOUR, total_volume=9)
        market(conn, FOUR, created_at=moment - 4 * HOUR, total_volume=7)
        rows: list[dict[str, Any]] = [
            {"market_id": ONE, "user": wallet(1), "cost": 4 * SOL, "traded_at": moment - 25 * HOUR},
            {"market_id": ONE, "user": wallet(1), "cost": 2 * SOL, "traded_at": moment - HOUR},
            *(
                {"market_id": TWO, "user": wallet(n), "cost": SOL // 2, "traded_at": moment - HOUR}
                for n in (1, 2, 3)
            ),
            {"market_id": ONE, "user": wallet(1), "cost": SOL, "traded_at": moment, "price_yes": 0},
        ]
        for number, row in enumerate(rows, 1):
            trade(conn, number=number, **{"price_yes": 0} | row)
    with owner.begin() as conn:
        question(conn, ONE, "Will the first happen?", "science", tags=["Moon", "probe"])
        question(conn, TWO, "Will the second happen?", "science", tags=["other"])
        question(conn, THREE, "Will the third happen?", "crypto", tags=["none"])
        question(conn, FOUR, "Will the fourth happen?", "crypto", tags=["MOON"])
    return moment


def test_trending_is_ordered_by_its_score_and_says_when_the_day_ends(
    client: Client, now: int
) -> None:
    body = client.get("/api/markets/trending?limit=2").json()
    # 3 SOL and a trader: 2.2; 1.5 SOL and three traders: 2.1.
    assert [row["id"] for row in body["trending"]] == [ONE.hex(), TWO.hex()]
    assert [row["trendingScore"] for row in body["trending"]] == [2.2, 2.1]
    assert body["as_of"] == chain_time(now)
    # The price a day ago was 0: there is no change in percent.
    assert body["trending"][0]["change24h"] == 0


def test_trends_of_categories_compare_the_last_day_with_the_one_before(
    client: Client, now: int
) -> None:
    body = client.get("/api/markets/categories").json()
    assert body["as_of"] == chain_time(now)
    crypto, science = body["categories"]
    assert (crypto["id"], crypto["count"], crypto["trend"]) == ("crypto", 2, "+100%")
    assert (crypto["volume_24h"], crypto["volume_trend"]) == (0, "+0%")
    assert (science["id"], science["created_24h"], science["trend"]) == ("science", 1, "+0%")
    # 4.5 SOL after 4.
    assert (science["volume_24h"], science["volume_trend"]) == (9 * SOL // 2, "+12%")


@pytest.mark.usefixtures("now")
def test_related_markets_share_category_then_a_tag(client: Client) -> None:
    body = client.get(f"/api/markets/{ONE.hex()}/related").json()
    assert [row["id"] for row in body["related"]] == [TWO.hex(), FOUR.hex(), THREE.hex()]
    assert [row["categoryMatch"] for row in body["related"]] == [True, False, False]


@pytest.mark.usefixtures("now")
def test_activity_of_a_market_a_wallet_and_a_category(client: Client) -> None:
    def types(query: str) -> list[tuple[str, str]]:
        answer = client.get(f"/api/markets/activity?{query}")
        assert answer.status_code == 200, answer.text
        return [(row["type"], row["marketId"][:2]) for row in answer.json()["activities"]]

    trades = [("trade", "01")] * 3
    assert types(f"market={ONE.hex()}") == [*trades, ("creation", "01")]
    assert types(f"wallet={wallet(2).pubkey()}") == [("trade", "02")]
    assert types(f"wallet={wallet(1).pubkey()}&market={TWO.hex()}") == [("trade", "02")]
    assert types("category=crypto") == [("creation", "03"), ("creation", "04")]
    assert types("category=science&type=creation") == [("creation", "02"), ("creation", "01")]
    assert client.get(f"/api/markets/activity?market={'ee' * 32}").status_code == 404
    assert client.get("/api/markets/activity?wallet=x").status_code == 400


def test_activity_is_walked_by_cursor_across_equal_times(client: Client, now: int) -> None:
    whole = client.get("/api/markets/activity?limit=200").json()
    assert whole["next"] is None
    assert len(whole["activities"]) == 10
    times = [item["time"] for item in whole["activities"]]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) < len(times), "some happened in the same second"
    for size in (1, 2, 3):
        walked: list[dict[str, Any]] = []
        url: str | None = f"/api/markets/activity?limit={size}"
        while url is not None:
            answer = client.get(url)
            walked += answer.json()["activities"]
            link = answer.headers.get("link")
            assert (link is None) == (answer.json()["next"] is None)
            url = None if link is None else link.split(">")[0].lstrip("<")
        assert walked == whole["activities"]
    first = client.get("/api/markets/activity?limit=1&type=trade").json()
    second = client.get(f"/api/markets/activity?limit=1&type=trade&cursor={first['next']}").json()
    assert [item["type"] for item in second["activities"]] == ["trade"]
    assert second["activities"] != first["activities"]
    assert client.get("/api/markets/activity?cursor=x").status_code == 400
