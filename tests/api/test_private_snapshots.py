"""What private channels begin with is what REST shows at that moment."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine

from tests.api.private_sockets import asked, authenticated, greeted, own_channel, ticket
from tests.api.seed import SOL, market, position, trade, wallet
from tests.api.signing_in import session_of
from tests.relay.signed_transactions import create_market, signed
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.relay import rows
from zmart_pipelines.relay.signed_transaction import parse_signed
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, act_as

Client = TestClient[Litestar]
ALICE, BOB, OPERATOR = wallet(1), wallet(2), wallet(3)
OPEN, FINAL = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def api_settings(api_settings: Settings) -> Settings:
    """Settings with an operator's wallet."""
    return Settings(**api_settings.model_dump() | {"operators": str(OPERATOR.pubkey())})


@pytest.fixture
def held(ledger: Engine, database: str) -> None:
    """Positions of two wallets in an open and in a final market, and a transaction of each."""
    with ledger.begin() as conn:
        market(conn, OPEN)
        market(conn, FINAL, state=5, final_outcome=True, finalized_at=1, shares_yes=20 * SOL)
        for number, owner in enumerate((ALICE, BOB)):
            for place, market_id in enumerate((OPEN, FINAL)):
                trade(conn, market_id, owner, 10 * number + place + 1)
                position(conn, market_id, owner)
    api = role_engine(Role.API, database)
    for number, owner in enumerate((ALICE, BOB)):
        data = signed(owner, [create_market(owner, bytes([number]) * 32)])
        one = parse_signed(data, DEFAULT_PROGRAM_ID)
        with api.begin() as conn:
            act_as(conn, one.fee_payer)
            assert rows.store(conn, one, 100, open_limit=10)
    api.dispose()


def snapshot(client: Client, who: Keypair | None, channel: str) -> Any:
    """What a subscription begins with."""
    with greeted(client) as socket:
        if who is not None:
            authenticated(socket, ticket(client, session_of(client, who)))
        answer = asked(socket, action="subscribe", channel=channel)
    assert answer["type"] == "subscribed", answer
    return answer["data"]["snapshot"]


def settled(row: dict[str, Any]) -> dict[str, Any]:
    """A relayed transaction without what the relay may change meanwhile."""
    return {name: row[name] for name in row if name not in ("state", "refusal", "sends", "sent_at")}


@pytest.mark.usefixtures("held")
def test_wallet_begins_with_what_rest_shows_of_it(client: Client) -> None:
    address = str(ALICE.pubkey())
    found = snapshot(client, ALICE, own_channel(ALICE))
    assert found["positions"] == client.get(f"/api/positions/{address}").json()
    assert found["positions_total"] == len(found["positions"]) == 2
    for status, name in (("due", "due"), ("done", "paid")):
        listed = client.get(f"/api/users/{address}/claims?status={status}").json()["claims"]
        assert found[name] == listed
    assert [claim["market_id"] for claim in found["due"]] == [FINAL.hex()]
    listed = client.get("/api/transactions", headers=session_of(client, ALICE)).json()
    assert [settled(row) for row in found["transactions"]] == [
        settled(row) for row in listed["transactions"]
    ]
    assert [row["fee_payer"] for row in found["transactions"]] == [address]


def test_alerts_begin_with_the_open_ones_for_operators_with_their_texts(
    client: Client, ledger: Engine
) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, AlertKey("over"), "medium", "over already")
        clear_alert(conn, AlertKey("over"))
        raise_alert(conn, AlertKey("lag", subject="x"), "high", "behind", {"slots": 7})
        raise_alert(conn, AlertKey("review", OPEN), "medium", "look at it")
    listed = client.get("/api/alerts?open=true").json()["alerts"]
    assert snapshot(client, None, "alerts") == {"alerts": listed}
    received = snapshot(client, OPERATOR, "alerts")["alerts"]
    assert [(row["subject"], row["message"], row["detail"]) for row in received] == [
        (None, "look at it", {}),
        ("x", "behind", {"slots": 7}),
    ]
    shown = [{name: row[name] for name in listed[0]} for row in received]
    assert shown == listed
