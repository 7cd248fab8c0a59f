"""Counts of markets by state, and the last prices of several markets."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.api.seed import market, trade, wallet
from zmart_pipelines.program.accounts import MarketState

Client = TestClient[Litestar]
ONE, TWO, THREE = (bytes([number]) * 32 for number in range(1, 4))


def test_markets_are_counted_by_state(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, ONE, state=int(MarketState.ACTIVE))
        market(conn, TWO, state=int(MarketState.ACTIVE))
        market(conn, THREE, state=int(MarketState.DISPUTED))
    body = client.get("/api/markets/states").json()
    counts = {row["state"]: row["markets"] for row in body["states"]}
    assert counts == {one.name: 0 for one in MarketState} | {"ACTIVE": 2, "DISPUTED": 1}
    assert body["total"] == 3


def test_last_prices_of_several_markets_are_oldest_first(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        for each in (ONE, TWO):
            market(conn, each)
        for number in range(45):
            trade(conn, ONE, wallet(1), number, traded_at=1000 + number, price_yes=number)
        trade(conn, TWO, wallet(1), 99, traded_at=1000, price_yes=7)
    asked = [TWO.hex(), ONE.hex(), THREE.hex()]
    body = client.get("/api/markets/price-lines", params={"market": asked}).json()
    assert body["lines"] == [
        {"market_id": TWO.hex(), "price_yes": [7]},
        {"market_id": ONE.hex(), "price_yes": list(range(5, 45))},
    ]


def test_what_is_no_market_is_named(client: Client) -> None:
    answer = client.get("/api/markets/price-lines", params={"market": "x"})
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == "market"
    assert client.get("/api/markets/price-lines").status_code == 400
