"""Candles over HTTP, computed by the pipelines' refresh from stored trades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.api.seed import CREATED, address_of, market, trade, wallet
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.statistics.refresh import refresh
from zmart_pipelines.store.engine import Role

Client = TestClient[Litestar]
ONE, EMPTY = b"\x01" * 32, b"\x02" * 32
URL = f"/api/markets/{ONE.hex()}/candles"
HOUR = CREATED // 3600 * 3600
HALF = 500_000_000
# Seconds after HOUR, price, cost: two trades in a minute, one later, one hours later.
TRADES = [
    (60, 520_000_000, 2**62),
    (119, 510_000_000, 2**62 + 1),
    (180, 560_000_000, 7),
    (4 * 3600, 300_000_000, 9),
]


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


@pytest.fixture
def _rows(ledger: Engine, pipelines: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, ONE)
        market(conn, EMPTY)
        for number, (after, price, cost) in enumerate(TRADES, 1):
            trade(
                conn,
                ONE,
                wallet(1),
                number,
                traded_at=HOUR + after,
                price_yes=price,
                cost=cost,
            )
    refresh(pipelines)


def read(client: Client, url: str) -> Any:
    """GET, successfully."""
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("_rows")
def test_candles_are_exact_and_oldest_first(client: Client) -> None:
    page = read(client, f"{URL}?interval=1m")
    assert {**page, "candles": None} == {
        "market_id": ONE.hex(),
        "interval": "1m",
        "candles": None,
        "count": 3,
        "limit": 100,
        "previous_close": HALF,
    }
    assert page["candles"][0] == {
        "time": HOUR + 60,
        "starts_at": page["candles"][0]["starts_at"],
        "open": 520_000_000,
        "high": 520_000_000,
        "low": 510_000_000,
        "close": 510_000_000,
        "volume": 2**63 + 1,
        "trades": 2,
        "exact": {"volume": str(2**63 + 1)},
    }
    assert page["candles"][0]["starts_at"].endswith(":01:00.000Z")
    assert [one["time"] - HOUR for one in page["candles"]] == [60, 180, 4 * 3600]
    assert read(client, f"/api/markets/{address_of(ONE)}/candles?interval=1m") == page


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(
    ("interval", "counts"), [("1m", [2, 1, 1]), ("5m", [3, 1]), ("1h", [3, 1]), ("1d", [4])]
)
def test_each_interval_covers_all_trades(client: Client, interval: str, counts: list[int]) -> None:
    page = read(client, f"{URL}?interval={interval}")
    found = [one["trades"] for one in page["candles"]]
    assert found == counts
    assert sum(one["volume"] for one in page["candles"]) == sum(cost for *_, cost in TRADES)


@pytest.mark.usefixtures("_rows")
def test_range_has_the_price_before_it(client: Client) -> None:
    page = read(client, f"{URL}?interval=1m&from={HOUR + 61}")
    assert [one["time"] - HOUR for one in page["candles"]] == [180, 4 * 3600]
    assert page["previous_close"] == 510_000_000
    page = read(client, f"{URL}?interval=1m&from={HOUR + 60}&to={HOUR + 180}")
    assert [one["time"] - HOUR for one in page["candles"]] == [60]
    assert page["previous_close"] == HALF
    newest = read(client, f"{URL}?interval=1m&limit=1")
    assert [one["time"] - HOUR for one in newest["candles"]] == [4 * 3600]
    assert newest["previous_close"] == 560_000_000
    later = read(client, f"{URL}?interval=1m&from={HOUR + 10**6}")
    assert (later["candles"], later["previous_close"]) == ([], 300_000_000)
    assert read(client, f"{URL}?limit=0")["candles"] == []


@pytest.mark.usefixtures("_rows")
def test_no_candles_without_trades_and_404_without_market(client: Client) -> None:
    page = read(client, f"/api/markets/{EMPTY.hex()}/candles")
    assert (page["candles"], page["interval"], page["previous_close"]) == ([], "1h", HALF)
    answer = client.get(f"/api/markets/{'ab' * 32}/candles")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("interval=2m", "interval"),
        ("interval=", "interval"),
        ("from=x", "from"),
        ("from=-1", "from"),
        ("to=1.5", "to"),
        (f"to={2**64}", "to"),
        ("from=5&to=5", "from"),
        ("limit=1441", "limit"),
        ("limit=-1", "limit"),
    ],
)
def test_invalid_query_is_named(client: Client, query: str, field: str) -> None:
    answer = client.get(f"{URL}?{query}")
    assert answer.status_code == 400, answer.text
    assert [one["field"] for one in answer.json()["details"]] == [field], answer.text


def test_invalid_market_id_is_named(client: Client) -> None:
    answer = client.get("/api/markets/xyz/candles")
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["details"]] == ["market"]
