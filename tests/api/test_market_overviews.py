"""Counts of markets by state, and the last prices of several markets."""

from __future__ import annotations

import time

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


def test_history_counts_each_market_in_one_state_at_a_time(client: Client, ledger: Engine) -> None:
    now = int(time.time())
    hour = 3600
    times = {"created_at": now - 10 * hour, "approved_at": now - 6 * hour}
    with ledger.begin() as conn:
        market(conn, ONE, state=int(MarketState.APPROVED), **times)
        times |= {"activated_at": now - 5 * hour, "resolution_proposed_at": now - 4 * hour}
        times |= {"dispute_initiated_at": now - 3 * hour, "finalized_at": now - 2 * hour}
        market(conn, TWO, state=int(MarketState.FINALIZED), **times)
        market(
            conn,
            THREE,
            state=int(MarketState.CANCELLED),
            created_at=now - 10 * hour,
            cancelled_at=now - 90 * 60,
        )
    body = client.get("/api/markets/states/history", params={"points": 8}).json()
    assert body["interval_seconds"] == hour
    assert len(body["points"]) == 8
    by_state = {
        state: [point["markets"][number] for point in body["points"]]
        for number, state in enumerate(body["states"])
    }
    assert [sum(point["markets"]) for point in body["points"]] == [3] * 8
    # Seven hours ago to now; a step counts from the first point that is not before it.
    assert by_state["PROPOSED"] == [3, 1, 1, 1, 1, 1, 0, 0]
    assert by_state["APPROVED"] == [0, 2, 1, 1, 1, 1, 1, 1]
    assert by_state["ACTIVE"] == [0, 0, 1, 0, 0, 0, 0, 0]
    assert by_state["DISPUTED"] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert by_state["FINALIZED"] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert by_state["CANCELLED"] == [0, 0, 0, 0, 0, 0, 1, 1]
