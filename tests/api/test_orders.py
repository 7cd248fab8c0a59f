"""What only operators may by HTTP: orders, the audit log, failed deliveries, admin transactions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, insert, text

from api.app import create_app
from tests.api import seed
from tests.api.chain_world import World
from tests.api.signing_in import session_of
from tests.fixtures.localnet import Localnet
from zmart_pipelines.operations.order_execution import Means, carry_out
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import api_keys
from zmart_pipelines.store.tables import chain

Client = TestClient[Litestar]
OPERATOR = seed.wallet(1)
SWITCH = {
    "kind": "switch",
    "parameters": {"action": "all", "enabled": False},
    "reason": "wrong counts",
}


@pytest.fixture
def settings(api_settings: Settings) -> Settings:
    return Settings.model_validate(
        api_settings.model_dump() | {"operators": str(OPERATOR.pubkey())}
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """A client that has signed in as an operator."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        made.headers.update(session_of(made, OPERATOR))
        yield made


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def order(client: Client, body: dict[str, Any], key: str = "one") -> Any:
    return client.post("/api/orders", json=body, headers={"Idempotency-Key": key})


def test_order_is_stored_with_its_requester_and_recorded(client: Client) -> None:
    answer = order(client, SWITCH)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == f"/api/orders/{made['id']}"
    assert (made["kind"], made["parameters"]) == ("switch", SWITCH["parameters"])
    assert (made["status"], made["result"], made["run_id"]) == ("requested", None, None)
    assert (made["wallet"], made["service"]) == (str(OPERATOR.pubkey()), None)
    assert client.get(answer.headers["location"]).json() == made
    assert client.get("/api/orders").json()["orders"] == [made]
    (entry,) = client.get("/api/audit").json()["entries"]
    assert (entry["entry_point"], entry["action"]) == ("api", "order_switch")
    assert (entry["subject"], entry["reason"]) == (str(made["id"]), "wrong counts")
    assert entry["wallet"] == str(OPERATOR.pubkey())
    assert entry["details"] == {"order": made["id"], "parameters": SWITCH["parameters"]}


def test_result_of_the_run_is_shown(
    client: Client, settings: Settings, pipelines: Engine, ledger: Engine
) -> None:
    number = order(client, SWITCH).json()["id"]
    means = Means(pipelines, ledger, lambda: pytest.fail("no act reads the chain"), settings)
    carry_out(means, number, "run-1")
    shown = client.get(f"/api/orders/{number}").json()
    assert (shown["status"], shown["result"], shown["run_id"]) == ("done", "all is off", "run-1")
    assert shown["ended_at"] >= shown["accepted_at"] >= shown["requested_at"]
    actions = [entry["action"] for entry in client.get("/api/audit").json()["entries"]]
    assert actions == ["switch", "order_switch"]
    assert order(client, SWITCH).json() == shown, "repeated, it is the order as it is now"


def test_same_key_is_one_order_and_another_order_under_it_a_conflict(
    client: Client, pipelines: Engine
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: order(client, SWITCH), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    for change in ({"reason": "another"}, {"parameters": {"action": "all", "enabled": True}}):
        refused = order(client, SWITCH | change)
        assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_used")
    with pipelines.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM ops.orders")).scalar_one() == 1
        assert conn.execute(text("SELECT count(*) FROM ops.audit")).scalar_one() == 1


def test_service_with_the_scope_is_an_operator_too(client: Client, database: str) -> None:
    key = service_keys.new_key()
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        api_keys.create_key(
            conn,
            name="desk",
            prefix=key[: service_keys.SHOWN],
            key_hash=service_keys.key_hash(key),
            scopes=[service_keys.OPERATOR],
        )
    owner.dispose()
    headers = {"X-Api-Key": key, "Idempotency-Key": "two"}
    client.headers.pop("Authorization")
    made = client.post("/api/orders", json=SWITCH, headers=headers)
    assert made.status_code == 201, made.text
    assert (made.json()["wallet"], made.json()["service"]) == (None, "desk")
    log = client.get("/api/audit", headers={"X-Api-Key": key})
    assert log.json()["entries"][0]["service"] == "desk"
    assert key not in log.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "approve_market"}, "kind"),
        ({"reason": ""}, "reason"),
        ({"reason": "   "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"parameters": {"action": "all"}}, "parameters"),
        ({"parameters": {"action": "all", "enabled": "no"}}, "parameters.enabled"),
        ({"parameters": []}, "parameters"),
        ({"more": 1}, "more"),
    ],
)
def test_invalid_order_is_refused_by_field(
    client: Client, change: dict[str, Any], field: str
) -> None:
    refused = order(client, SWITCH | change)
    assert refused.status_code == 400
    assert [one["field"] for one in refused.json()["details"]] == [field]


def test_key_is_required(client: Client) -> None:
    refused = client.post("/api/orders", json=SWITCH)
    assert refused.status_code == 400
    assert [one["field"] for one in refused.json()["details"]] == ["Idempotency-Key"]


def test_lists_have_filters_and_pages(client: Client) -> None:
    for number in range(3):
        order(client, SWITCH | {"reason": f"reason {number}"}, f"key {number}")
    order(client, {"kind": "redecode", "reason": "a new decoder"}, "other")
    reasons = [one["reason"] for one in client.get("/api/orders?kind=switch").json()["orders"]]
    assert reasons == ["reason 2", "reason 1", "reason 0"]
    assert client.get("/api/orders?status=done").json()["count"] == 0
    first = client.get("/api/orders?limit=2").json()
    rest = client.get("/api/orders", params={"limit": 2, "cursor": first["next"]}).json()
    assert len({one["id"] for one in first["orders"] + rest["orders"]}) == 4
    assert rest["next"] is None
    found = client.get("/api/audit?action=order_redecode&entry_point=api").json()["entries"]
    assert [entry["reason"] for entry in found] == ["a new decoder"]
    assert client.get("/api/audit?subject=none").json()["count"] == 0
    assert client.get("/api/audit").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("number", [0, 4711, 2**70])
def test_unknown_order_is_not_found(client: Client, number: int) -> None:
    assert client.get(f"/api/orders/{number}").status_code == 404


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
