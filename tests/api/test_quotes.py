"""Quotes of stored markets: figures of the deployed program, refusals, wrong input."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.error_codes import ErrorCode
from tests.api.seed import SOL, address_of, configuration, market

Client = TestClient[Litestar]
FRESH, TRADED = b"\x01" * 32, b"\x02" * 32
URL = f"/api/markets/{FRESH.hex()}/quote"


def configure(engine: Engine, slot: int, **over: Any) -> None:
    """Store a configuration of the program."""
    signature = slot.to_bytes(64, "big")
    with engine.begin() as conn:
        configuration(conn, signature=signature, log_index=3, slot=slot, **over)


@pytest.fixture
def _rows(ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, FRESH)
        market(
            conn,
            TRADED,
            shares_yes=1_935_823_062,
            shares_no=1_016_481_020,
            price_yes=502_298_338,
            current_liquidity=SOL,
            as_of_slot=7,
        )


def read(client: Client, url: str, status: int = 200) -> Any:
    """GET."""
    answer = client.get(url)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.usefixtures("_rows")
def test_quote_of_a_budget_has_the_figures_of_the_first_trade_on_devnet(client: Client) -> None:
    body = read(client, f"{URL}?side=yes&action=buy&cost={SOL}")
    assert body["as_of"].endswith("Z")
    assert body == {
        "market_id": FRESH.hex(),
        "action": "buy",
        "side": "yes",
        "outcome": True,
        "state": "ACTIVE",
        "quote": {
            "shares": 1_835_823_062,
            "amount": 909_025_800,
            "fees": {
                "protocol": 27_270_774,
                "resolver": 18_180_516,
                "liquidity_provider": 45_451_290,
                "total": 90_902_580,
                "exact": {
                    "protocol": "27270774",
                    "resolver": "18180516",
                    "liquidity_provider": "45451290",
                    "total": "90902580",
                },
            },
            "total": 999_928_380,
            "max_cost": SOL,
            "price_before": 500_000_000,
            "price_after": 504_589_428,
            "average_price": 544_675_791,
            "price_impact_bps": 91,
            "slippage_bps": -97,
            "exact": {
                "shares": "1835823062",
                "amount": "909025800",
                "total": "999928380",
                "average_price": "544675791",
            },
        },
        "refused": None,
        "smallest_trade": {"cost": 1_071_510, "shares": None},
        "fee_rates": {"protocol": 300, "resolver": 200, "liquidity_provider": 500, "total": 1000},
        "as_of": body["as_of"],
        "as_of_slot": 1,
        "commitment": "confirmed",
    }
    by_address = read(client, f"/api/markets/{address_of(FRESH)}/quote?side=yes&cost={SOL}")
    assert by_address | {"as_of": None} == body | {"as_of": None}


@pytest.mark.usefixtures("_rows")
def test_quote_of_shares_is_the_smallest_budget_that_buys_them(client: Client) -> None:
    body = read(client, f"{URL}?side=no&shares={SOL}")
    budget = body["quote"]["max_cost"]
    assert body["quote"]["shares"] >= SOL
    assert body["quote"]["total"] <= budget
    same = read(client, f"{URL}?side=no&cost={budget}")
    assert same["quote"] == body["quote"]
    less = read(client, f"{URL}?side=no&cost={budget - 1}")
    assert less["quote"]["shares"] < SOL
    assert body["quote"]["price_after"] > 500_000_000


@pytest.mark.usefixtures("_rows")
def test_sale_has_figures_and_says_that_it_fails(client: Client) -> None:
    url = f"/api/markets/{TRADED.hex()}/quote?side=yes&action=sell"
    body = read(client, f"{url}&shares={SOL}")
    assert (body["quote"]["amount"], body["quote"]["total"]) == (501_610_600, 451_449_540)
    assert (body["quote"]["price_after"], body["quote"]["max_cost"]) == (499_798_355, None)
    assert body["as_of_slot"] == 7
    refused = body["refused"]
    assert (refused["code"], refused["program_error"]) == ("sale_unsupported", None)
    assert "Every sale fails" in refused["message"]
    wanted = read(client, f"{url}&cost=451449540")
    assert wanted["quote"]["total"] == 451_449_540
    assert wanted["quote"]["shares"] <= SOL
    assert wanted["smallest_trade"]["cost"] is None
    smallest = wanted["smallest_trade"]["shares"]
    assert read(client, f"{url}&shares={smallest}")["quote"]["amount"] >= 10_000
    assert read(client, f"{url}&shares={smallest - 1}")["quote"] is None


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(
    ("query", "code", "program_error", "number"),
    [
        ("side=yes&cost=9999", "trade_too_small", "TradeTooSmall", 6018),
        ("side=yes&cost=1071509", "trade_too_small", "UnderflowError", 6034),
        ("side=yes&cost=2000000000000000", "trade_too_large", "OverflowError", 6033),
        (f"side=yes&cost={2**63 - 1}", "trade_too_large", "OverflowError", 6033),
        (f"side=yes&shares={2**63 - 1}", "trade_too_large", None, None),
        (f"side=yes&action=sell&shares={SOL}", "insufficient_shares", "InsufficientShares", 6014),
    ],
)
def test_refused_without_figures(
    client: Client, query: str, code: str, program_error: str | None, number: int | None
) -> None:
    body = read(client, f"{URL}?{query}")
    assert body["quote"] is None
    refused = body["refused"]
    assert refused["code"] == code
    assert refused["code"] in set(ErrorCode)
    assert (refused["program_error"], refused["program_error_number"]) == (program_error, number)
    assert refused["message"]


def test_state_and_configuration_refuse(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, FRESH)
        market(conn, TRADED, state=5)
        market(conn, b"\x03" * 32, b_parameter=SOL, shares_yes=SOL // 1000, shares_no=SOL // 1000)
    closed = read(client, f"/api/markets/{TRADED.hex()}/quote?side=yes&cost={SOL}")
    assert (closed["state"], closed["refused"]["code"]) == ("FINALIZED", "invalid_market_state")
    assert closed["quote"]["shares"] == 1_835_823_062
    narrow = read(client, f"/api/markets/{'03' * 32}/quote?side=yes&cost={SOL}")
    assert narrow["refused"]["program_error"] == "InvalidBParameter"
    assert narrow["smallest_trade"] == {"cost": None, "shares": None}

    configure(ledger, 10, is_paused=True)
    paused = read(client, f"{URL}?side=yes&cost={SOL}")
    assert paused["refused"]["code"] == "protocol_paused"
    configure(ledger, 11, protocol_fee_bps=400)
    dear = read(client, f"{URL}?side=yes&cost={SOL}")
    assert dear["refused"]["code"] == "slippage_exceeded", "fees above 10 % refuse every buy"
    assert dear["fee_rates"]["total"] == 1100
    configure(ledger, 12, protocol_fee_bps=100)
    cheap = read(client, f"{URL}?side=yes&cost={SOL}")
    assert cheap["refused"] is None
    assert cheap["quote"]["fees"]["total"] == 909_025_800 * 800 // 10_000


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("side=yes", "shares"),
        ("side=yes&shares=1&cost=1", "cost"),
        ("shares=1", "side"),
        ("side=maybe&shares=1", "side"),
        ("side=yes&action=hold&shares=1", "action"),
        ("side=yes&shares=0", "shares"),
        ("side=yes&shares=1.5", "shares"),
        ("side=yes&cost=-1", "cost"),
        (f"side=yes&cost={2**64}", "cost"),
    ],
)
def test_invalid_query_is_named(client: Client, query: str, field: str) -> None:
    body = read(client, f"{URL}?{query}", 400)
    assert [one["field"] for one in body["details"]] == [field], body


def test_unknown_market_is_404(client: Client) -> None:
    assert client.get(f"{URL}?side=yes&cost=1").status_code == 404
