"""Depth of stored markets, read like an order book."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.api.seed import SOL, market
from zmart_pipelines.program import lmsr
from zmart_pipelines.program.lmsr import Pool

Client = TestClient[Litestar]
ONE, SMALL, ENDED = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
URL = f"/api/markets/{ONE.hex()}/depth"
POOL = Pool(100 * SOL, 1_935_823_062, 1_016_481_020)


@pytest.fixture
def _rows(ledger: Engine) -> None:
    with ledger.begin() as conn:
        shares = {"shares_yes": POOL.shares_yes, "shares_no": POOL.shares_no}
        market(conn, ONE, price_yes=502_298_338, as_of_slot=7, **shares)
        market(conn, SMALL, b_parameter=SOL)
        market(conn, ENDED, state=5, **shares)


def read(client: Client, url: str) -> Any:
    """GET, successfully."""
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("_rows")
def test_asks_and_bids_lie_around_the_price(client: Client) -> None:
    body = read(client, f"{URL}?levels=3")
    assert (body["market_id"], body["state"], body["step"]) == (ONE.hex(), "ACTIVE", 10_000_000)
    assert (body["as_of_slot"], body["commitment"]) == (7, "confirmed")
    assert (body["yes"]["price"], body["no"]["price"]) == (502_298_338, 497_701_662)
    yes, no = body["yes"]["asks"], body["no"]["asks"]
    assert [level["price"] for level in yes] == [510_000_000, 520_000_000, 530_000_000]
    assert [level["price"] for level in no] == [500_000_000, 510_000_000, 520_000_000]
    for level in yes:
        moved = POOL.moved(True, level["shares"])
        amount = lmsr.cost(moved) - lmsr.cost(POOL)
        assert level["amount"] == amount
        assert level["fees"] == amount // 10
        assert level["total"] == amount + amount // 10
        assert level["price_after"] == lmsr.price_yes(moved) >= level["price"]
        assert level["average_price"] == level["total"] * 10**9 // level["shares"]
        assert level["exact"]["total"] == str(level["total"])
    assert sum(level["size"] for level in yes) == yes[-1]["shares"]
    assert body["refused_buys"] is None
    assert body["refused_sales"]["code"] == "sale_unsupported"
    fine = read(client, f"{URL}?levels=5&step_bps=10")
    bids = fine["yes"]["bids"]
    assert [level["price"] // 1_000_000 for level in bids] == [502, 501, 500, 499, 498]
    assert bids[0]["total"] == bids[0]["amount"] - bids[0]["fees"]


@pytest.mark.usefixtures("_rows")
def test_market_that_cannot_be_traded_says_so(client: Client) -> None:
    small = read(client, f"/api/markets/{SMALL.hex()}/depth")
    assert small["yes"] == small["no"] == {"price": None, "asks": [], "bids": []}
    assert small["refused_buys"]["program_error"] == "InvalidBParameter"
    ended = read(client, f"/api/markets/{ENDED.hex()}/depth?levels=50&step_bps=1")
    assert len(ended["yes"]["asks"]) == 50
    assert ended["refused_buys"]["code"] == ended["refused_sales"]["code"] == "invalid_market_state"
    assert client.get(f"/api/markets/{'ab' * 32}/depth").status_code == 404


@pytest.mark.parametrize("query", ["levels=0", "levels=51", "step_bps=0", "step_bps=2501"])
def test_invalid_query_is_named(client: Client, query: str) -> None:
    answer = client.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["details"]] == [query.partition("=")[0]]
