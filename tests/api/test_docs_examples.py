"""The examples of docs/api.md have the fields and types of the real requests and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.api.conftest import SECRET
from tests.api.documented_examples import examples_of, shape
from tests.api.payloads import raw
from tests.api.seed import market, trade, wallet
from tests.api.signing_in import sign_in
from tests.api.wallets import proof
from tests.ledger.recorded_rpc import Recorder

Client = TestClient[Litestar]
EXAMPLES = examples_of("api.md")
MARKET = b"\x10" * 32


def assert_like(example: str, value: Any) -> None:
    """Compare with the example of this name."""
    assert shape(value) == shape(EXAMPLES[example])


@pytest.fixture(autouse=True)
def _market(ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, MARKET, state=0)
        trade(conn, MARKET, wallet(1), 1)


def test_trade_and_error(client: Client) -> None:
    assert_like("trade", client.get(f"/api/markets/{MARKET.hex()}/trades").json()["trades"][0])
    error = client.get("/api/markets?limit=201").json()
    assert_like("error", error)
    assert error["details"] == EXAMPLES["error"]["details"]


def test_quote(client: Client, ledger: Engine) -> None:
    """The example's figures are the program's; only its market and time are made up."""
    with ledger.begin() as conn:
        market(conn, b"\x11" * 32)
    body = client.get(f"/api/markets/{'11' * 32}/quote?side=yes&cost=1000000000").json()
    made_up = ("market_id", "as_of", "as_of_slot")
    assert body | dict.fromkeys(made_up) == EXAMPLES["quote"] | dict.fromkeys(made_up)
    assert_like("quote", body)


def test_ballot(client: Client) -> None:
    text = client.get(f"/api/votes/proposal/{MARKET.hex()}/message?vote=like").json()
    assert_like("ballot_text", text)
    request = {"market_id": MARKET.hex(), "vote": True} | proof(wallet(1), text["message"])
    assert_like("ballot_request", request)
    answer = client.post("/api/votes/proposal", json=request)
    assert answer.status_code == 201
    assert_like("ballot_response", answer.json())


def test_text_to_sign(client: Client) -> None:
    body = {"market_id": MARKET.hex(), "content": "hello"}
    assert_like("text_to_sign", client.post("/api/discussions/message", json=body).json())


def test_sign_in(client: Client) -> None:
    address = str(wallet(1).pubkey())
    text = client.post("/api/auth/nonce", json={"wallet": address})
    assert_like("sign_in_text", text.json())
    assert_like("signed_in", sign_in(client, wallet(1)))


def test_webhook(client: Client) -> None:
    recorder = Recorder()
    recorder.create(1)
    body = [raw(transaction) for transaction in recorder.transactions]
    answer = client.post("/api/webhooks/helius", json=body, headers={"Authorization": SECRET})
    assert_like("webhook", answer.json())


def test_every_example_is_checked() -> None:
    source = Path(__file__).read_text()
    assert len(EXAMPLES) == 10
    assert all(f'assert_like("{name}"' in source for name in EXAMPLES)
