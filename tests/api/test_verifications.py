"""``?verify=true``: the live account beside the ledger, and what it may cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, update

from api.app import create_app
from tests.fixtures.localnet import Localnet
from tests.ledger.onchain import Stage
from tests.ledger.recorded_rpc import SOL, address
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import market as tables

Client = TestClient[Litestar]


@pytest.fixture
def on_chain(api_settings: Settings, localnet: Localnet) -> Settings:
    """Settings with a chain, and with limits that count in the process alone."""
    return api_settings.model_copy(
        update={
            "solana_rpc_url": SecretStr(localnet.rpc_url),
            "redis_url": SecretStr(f"redis://127.0.0.1:{unused_port()}/0"),
            "api_verify_seconds": 0.0,
        }
    )


@pytest.fixture
def stage(localnet: Localnet) -> Stage:
    made = Stage(localnet)
    market_id = made.create(1)
    made.open(market_id)
    made.buy(market_id, 1, outcome=True, cost=SOL)
    made.step()
    return made


@pytest.fixture
def verifying(on_chain: Settings) -> Iterator[Client]:
    with TestClient(create_app(on_chain), raise_server_exceptions=False) as made:
        yield made


def verified(client: Client, market_id: bytes) -> Any:
    answer = client.get(f"/api/markets/{market_id.hex()}?verify=true")
    assert answer.status_code == 200, answer.text
    return answer.json()["verification"]


def test_account_agrees_then_the_ledger_is_behind_then_it_agrees_again(
    verifying: Client, stage: Stage, ledger: Engine, on_chain: Settings
) -> None:
    (market_id,) = stage.market_ids
    poll_confirmed(ledger, stage.rpc, on_chain, seconds=30)
    found = verified(verifying, market_id)
    assert (found["status"], found["differing"]) == ("agrees", [])
    assert found["address"] == str(address(market_id))
    account = AccountReader(stage.rpc, stage.chain.program).market(market_id, "confirmed").value
    assert account is not None
    fields = {item["field"]: item for item in found["fields"]}
    for name in ("shares_yes", "total_volume", "current_liquidity", "activated_at", "b_parameter"):
        value = str(getattr(account, name))
        assert (fields[name]["ledger"], fields[name]["chain"]) == (value, value)
    assert fields["state"]["chain"] == "2"
    assert fields["creator"]["chain"] == str(stage.users[0].pubkey())

    stage.buy(market_id, 2, outcome=False, cost=2 * SOL)
    stage.step()
    found = verified(verifying, market_id)
    assert found["status"] == "behind"
    assert found["ledger_slot"] < found["account_slot"]
    assert {"shares_no", "total_volume"} <= set(found["differing"])
    poll_confirmed(ledger, stage.rpc, on_chain, seconds=30)
    assert verified(verifying, market_id)["status"] == "agrees"


def test_position_is_verified_too(
    verifying: Client, stage: Stage, ledger: Engine, on_chain: Settings
) -> None:
    (market_id,) = stage.market_ids
    holder = stage.users[1].pubkey()
    poll_confirmed(ledger, stage.rpc, on_chain, seconds=30)
    url = f"/api/users/{holder}/positions/{market_id.hex()}"
    shown = verifying.get(f"{url}?verify=true").json()
    found = shown["verification"]
    assert (found["status"], found["account_exists"]) == ("agrees", True)
    fields = {item["field"]: item["chain"] for item in found["fields"]}
    assert fields["shares_yes"] == shown["shares_yes"]
    assert fields["total_invested"] == shown["total_invested"]
    assert fields["user"] == str(holder)
    table = tables.positions
    with ledger.begin() as conn:
        conn.execute(update(table).values(shares_yes=table.c.shares_yes + 1))
    found = verifying.get(f"{url}?verify=true").json()["verification"]
    assert (found["status"], found["differing"]) == ("differs", ["shares_yes"])
    assert "verification" not in verifying.get(url).json()


def test_row_that_is_wrong_is_said_to_differ(
    verifying: Client, stage: Stage, ledger: Engine, on_chain: Settings
) -> None:
    (market_id,) = stage.market_ids
    poll_confirmed(ledger, stage.rpc, on_chain, seconds=30)
    table = tables.markets
    with ledger.begin() as conn:
        conn.execute(update(table).values(total_volume=table.c.total_volume + 1))
    answer = verifying.get(f"/api/markets/{market_id.hex()}?verify=true").json()
    found = answer["verification"]
    assert (found["status"], found["differing"]) == ("differs", ["total_volume"])
    (field,) = [item for item in found["fields"] if not item["agrees"]]
    assert int(field["ledger"]) == int(field["chain"]) + 1 == answer["total_volume"]


def test_chain_that_is_away_is_503_and_never_a_wrong_answer(
    verifying: Client, stage: Stage, ledger: Engine, on_chain: Settings
) -> None:
    (market_id,) = stage.market_ids
    poll_confirmed(ledger, stage.rpc, on_chain, seconds=30)
    stage.chain.stop(kill=True)
    answer = verifying.get(f"/api/markets/{market_id.hex()}?verify=true")
    assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
    assert "retry-after" in answer.headers
    assert verifying.get(f"/api/markets/{market_id.hex()}").status_code == 200
    assert verifying.get(f"/api/markets/{'ee' * 32}?verify=true").status_code == 404
    both = verifying.get(f"/api/markets/{market_id.hex()}?verify=true&at=1")
    assert (both.status_code, both.json()["details"][0]["field"]) == (400, "verify")


@pytest.mark.parametrize("limit", ["verifications_per_minute", "verifications_per_address_minute"])
def test_readings_are_shared_and_their_number_is_limited(
    stage: Stage, ledger: Engine, on_chain: Settings, limit: str
) -> None:
    second = stage.create(2)
    first = stage.market_ids[0]
    poll_confirmed(ledger, stage.rpc, on_chain, seconds=30)
    limited = on_chain.model_copy(update={limit: 1, "api_verify_seconds": 3600.0})
    with TestClient(create_app(limited), raise_server_exceptions=False) as client:
        readings = [verified(client, first) for _ in range(5)]
        assert readings == [readings[0]] * 5
        refused = client.get(f"/api/markets/{second.hex()}?verify=true")
        assert (refused.status_code, refused.json()["code"]) == (429, "limit_exceeded")
        seconds = int(refused.headers["retry-after"])
        assert refused.json()["limit"] == {
            "name": limit,
            "value": 1,
            "retry_after_seconds": seconds,
        }
        assert int(refused.headers["retry-after"]) >= 1
        assert verified(client, first) == readings[0]
