"""What the dashboard needs for operators: failed deliveries, the admin's transactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, insert

from api.app import create_app
from tests.api import seed
from tests.api.chain_world import World
from tests.api.signing_in import session_of
from tests.fixtures.localnet import Localnet
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain

Client = TestClient[Litestar]
OPERATOR = seed.wallet(1)


@pytest.fixture
def settings(api_settings: Settings) -> Settings:
    return Settings.model_validate(
        api_settings.model_dump() | {"operators": str(OPERATOR.pubkey())}
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        made.headers.update(session_of(made, OPERATOR))
        yield made


@pytest.fixture
def on_chain(settings: Settings, localnet: Localnet) -> Iterator[World]:
    """An operator who signed in to the API of a fresh chain."""
    with_chain = Settings(**settings.model_dump() | {"solana_rpc_url": localnet.rpc_url})
    with TestClient(create_app(with_chain), raise_server_exceptions=False) as made:
        made.headers.update(session_of(made, OPERATOR))
        world = World(with_chain, localnet, made)
        yield world
        world.rpc.close()


def test_failed_deliveries_are_listed_with_the_reason(client: Client, ledger: Engine) -> None:
    body = {"source": "helius", "body": b"[]", "body_sha256": b"\1" * 32, "transaction_count": 3}
    with ledger.begin() as conn:
        conn.execute(insert(chain.deliveries).values(**body, status="ingested"))
        conn.execute(
            insert(chain.deliveries).values(
                **body | {"body_sha256": b"\2" * 32}, status="failed", error="no JSON", attempts=5
            )
        )
    (found,) = client.get("/api/deliveries/failed").json()["deliveries"]
    assert (found["source"], found["transaction_count"]) == ("helius", 3)
    assert (found["error"], found["attempts"]) == ("no JSON", 5)


def test_admins_transaction_is_prepared_with_a_reason_in_the_audit_log(on_chain: World) -> None:
    admin = on_chain.chain.keys["admin"]
    asked = {
        "act": "pause",
        "arguments": {"wallet": str(admin.pubkey()), "paused": True},
        "reason": "a drill",
    }
    answer = on_chain.client.post("/api/admin/transactions", json=asked)
    assert answer.status_code == 200, answer.text
    prepared = answer.json()
    assert prepared["fee_payer"] == str(admin.pubkey())
    plain = on_chain.client.post("/api/transactions/prepare/pause", json=asked["arguments"])
    assert prepared["effects"]["summary"] == plain.json()["effects"]["summary"]
    (entry,) = on_chain.client.get("/api/audit").json()["entries"]
    assert (entry["action"], entry["reason"]) == ("prepare_admin_transaction", "a drill")
    assert entry["details"] == {"kind": "pause", "arguments": asked["arguments"]}
    assert entry["wallet"] == str(OPERATOR.pubkey())


def test_what_the_program_refuses_leaves_no_row(on_chain: World) -> None:
    asked = {
        "act": "pause",
        "arguments": {"wallet": str(Keypair().pubkey()), "paused": True},
        "reason": "a drill",
    }
    answer = on_chain.client.post("/api/admin/transactions", json=asked)
    assert answer.status_code == 409, answer.text
    assert on_chain.client.get("/api/audit").json()["entries"] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"wallet": "x", "paused": True}, "wallet"),
        ({"wallet": str(OPERATOR.pubkey()), "paused": "yes"}, "paused"),
        ({"paused": True}, "wallet"),
    ],
)
def test_wrong_arguments_are_named(
    client: Client, arguments: dict[str, object], named: str
) -> None:
    asked = {"act": "pause", "arguments": arguments, "reason": "a drill"}
    answer = client.post("/api/admin/transactions", json=asked)
    assert answer.status_code == 400, answer.text
    (detail,) = answer.json()["details"]
    assert detail["field"].startswith("arguments")
    assert named in detail["field"] + detail["message"]
    assert client.get("/api/audit").json()["entries"] == []
