"""Current prices with their last day, and the price after each trade."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, func, update

from tests.api.seed import CREATED, SOL, address_of, market, trade, wallet
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.statistics.refresh import refresh
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.market import markets

Client = TestClient[Litestar]
ONE, EMPTY = b"\x01" * 32, b"\x02" * 32
URL = f"/api/markets/{ONE.hex()}"
DAY = 86_400
HALF = 500_000_000


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def read(client: Client, url: str) -> Any:
    """GET, successfully."""
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


def append(engine: Engine, rows: list[tuple[int, int, int]], first: int) -> None:
    """Store trades of (time, price, cost) from slot ``first`` on, as the ledger appends them."""
    with engine.begin() as conn:
        for number, (moment, price, cost) in enumerate(rows, first):
            trade(conn, ONE, wallet(1), number, traded_at=moment, price_yes=price, cost=cost)
        conn.execute(
            update(markets)
            .where(markets.c.market_id == ONE)
            .values(
                trades_count=markets.c.trades_count + len(rows),
                price_yes=rows[-1][1],
                updated_at=func.clock_timestamp(),
            )
        )


def side(rows: list[tuple[int, int, int]], now: int) -> dict[str, Any]:
    """The prices of YES, computed from all rows."""
    before = [price for moment, price, _ in rows if moment <= now - DAY]
    day = [price for moment, price, _ in rows if moment > now - DAY]
    day_ago = before[-1] if before else HALF
    price = rows[-1][1]
    return {
        "price": price,
        "display": price / 10**9,
        "price_24h_ago": day_ago,
        "change_24h": price - day_ago,
        "change_24h_bps": (price - day_ago) * 10_000 // day_ago,
        "high_24h": max(day_ago, *day) if day else day_ago,
        "low_24h": min(day_ago, *day) if day else day_ago,
    }


def test_prices_follow_every_trade_with_and_without_a_refresh(
    client: Client, ledger: Engine, pipelines: Engine
) -> None:
    with ledger.begin() as conn:
        market(conn, ONE, created_at=CREATED)
    # The chain's time is ahead of the server's, so that it is the end of the 24 hours.
    now = int(time.time()) + 10 * DAY
    rows = [
        (now - 3 * DAY, 700_000_000, 5),
        (now - DAY - 1, 620_000_000, 6),
        (now - DAY, 610_000_000, 7),
        (now - DAY + 1, 640_000_000, 2**53 + 7),
        (now - DAY + 59, 480_000_000, 9),
        (now - DAY + 60, 530_000_000, 10),
        (now - 7200, 660_000_000, 2**53 + 7),
        (now, 600_000_000, 12),
    ]
    append(ledger, rows, 1)

    def check(expected: list[tuple[int, int, int]], end: int) -> None:
        body = read(client, f"{URL}/prices")
        assert body["yes"] == side(expected, end)
        mine, other = body["yes"], body["no"]
        assert other["price"] == 10**9 - mine["price"]
        assert other["price_24h_ago"] == 10**9 - mine["price_24h_ago"]
        assert other["change_24h"] == -mine["change_24h"]
        assert (other["high_24h"], other["low_24h"]) == (
            10**9 - mine["low_24h"],
            10**9 - mine["high_24h"],
        )
        recent = [cost for moment, _, cost in expected if moment > end - DAY]
        assert (body["volume_24h"], body["trades_24h"]) == (sum(recent), len(recent))
        assert body["exact"] == {"volume_24h": str(sum(recent))}
        assert body["last_trade"]["price_yes"] == expected[-1][1]
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(end))
        assert body["as_of"] == moment

    check(rows, now)
    refresh(pipelines)
    check(rows, now)
    later = [(now + 30, 350_000_000, 13), (now + 100, 590_000_000, 14)]
    append(ledger, later, 20)
    check([*rows, *later], now + 100)
    refresh(pipelines)
    check([*rows, *later], now + 100)
    by_address = read(client, f"/api/markets/{address_of(ONE)}/prices")
    by_id = read(client, f"{URL}/prices")
    assert {**by_address, "as_of": by_id["as_of"]} == by_id


def test_market_without_trades_has_the_opening_price(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, EMPTY)
    body = read(client, f"/api/markets/{EMPTY.hex()}/prices")
    flat = {
        "price": HALF,
        "display": 0.5,
        "price_24h_ago": HALF,
        "change_24h": 0,
        "change_24h_bps": 0,
        "high_24h": HALF,
        "low_24h": HALF,
    }
    assert (body["yes"], body["no"]) == (flat, flat)
    assert (body["volume_24h"], body["trades_24h"], body["last_trade"]) == (0, 0, None)
    assert (body["state"], body["as_of_slot"], body["commitment"]) == ("ACTIVE", 1, "confirmed")
    assert client.get(f"{URL}/prices").status_code == 404
    assert client.get(f"{URL}/price-history").status_code == 404


@pytest.mark.parametrize("number", [5, 6])
def test_history_pages_back_to_the_creation(client: Client, ledger: Engine, number: int) -> None:
    with ledger.begin() as conn:
        market(conn, ONE)
    rows = [(CREATED + n, HALF + n * 1_000_000, SOL) for n in range(number)]
    append(ledger, rows, 1)
    expected = [HALF, *(price for _, price, _ in rows)]
    whole = read(client, f"{URL}/price-history")
    assert [point["price_yes"] for point in whole["price_history"]] == expected
    assert [point["price_no"] for point in whole["price_history"]] == [
        10**9 - price for price in expected
    ]
    assert (whole["count"], whole["limit"], whole["next"]) == (number + 1, 100, None)
    assert whole["as_of"].endswith("Z")

    found: list[Any] = []
    url = f"{URL}/price-history?limit=2"
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["price_history"]) <= 2
        found = page["price_history"] + found
        link = answer.headers.get("link")
        assert (link is None) == (page["next"] is None)
        url = link.split(">")[0].lstrip("<") if link else ""
    assert found == whole["price_history"]
    wrong = client.get(f"{URL}/price-history?cursor=abc")
    assert (wrong.status_code, wrong.json()["details"][0]["field"]) == (400, "cursor")


def test_statistics_say_when_their_day_ends(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, ONE)
    now = int(time.time()) + 10 * DAY
    append(ledger, [(now - DAY, HALF, 5), (now, HALF, 6)], 1)
    body = read(client, f"{URL}/stats")
    assert body["stats"]["volume_24h"] == 6
    assert body["as_of"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now))
