"""Signed transactions that are handed to the API, on a local chain."""

from __future__ import annotations

import time
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.signature import Signature
from solders.system_program import TransferParams, transfer

from api.metrics import Acceptance
from tests.api.chain_world import World
from tests.api.metric_changes import MetricChanges
from tests.api.signing_in import session_of
from tests.relay.signed_transactions import create_market, priced, signed, text
from zmart_pipelines.program import instructions
from zmart_pipelines.program.addresses import market_address

MARKET = bytes(range(32))
OTHER = Keypair()
RETRY: dict[str, dict[str, Any]] = {"rate-limit": {"retry_after": 1}}


def hand_in(world: World, transaction: bytes) -> Any:
    """POST /api/transactions."""
    return world.client.post("/api/transactions", json={"transaction": text(transaction)})


def read(world: World, signature: str) -> Any:
    answer = world.client.get(f"/api/transactions/{signature}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def await_state(world: World, signature: str, *states: str, slots: int = 1) -> Any:
    """The record once it has one of the states; the chain goes on meanwhile."""
    deadline = time.monotonic() + 60
    while (found := read(world, signature))["relayed"]["state"] not in states:
        assert time.monotonic() < deadline, found
        world.chain.control.advance(slots)
        time.sleep(0.05)
    return found


def market_count(world: World) -> int:
    """How many markets the chain has, at processed."""
    address = str(market_address(world.chain.program, MARKET)[0])
    options = {"encoding": "base64", "commitment": "processed"}
    return int(world.chain.result("getAccountInfo", address, options)["value"] is not None)


def recent(world: World) -> Hash:
    return world.rpc.latest_blockhash("confirmed").hash


def test_transaction_is_stored_and_comes_to_finality(world: World) -> None:
    transaction = priced(world.wallet, MARKET, recent(world))
    answer = hand_in(world, transaction)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    signature = str(Signature.from_bytes(transaction[1:65]))
    assert answer.headers["location"] == f"/api/transactions/{signature}"
    assert (body["signature"], body["fee_payer"]) == (signature, str(world.wallet.pubkey()))
    assert (body["state"], body["instructions"]) == ("stored", ["create_market"])
    final = await_state(world, signature, "finalized")["relayed"]
    assert final["landed_slot"] is not None
    assert final["received_at"] <= final["sent_at"] <= final["confirmed_at"] <= final["settled_at"]
    assert (final["error"], final["refusal"]) == (None, None)
    address = market_address(world.chain.program, MARKET)[0]
    assert world.rpc.account(address, "finalized").value is not None
    again = hand_in(world, transaction)
    assert (again.status_code, again.json()) == (200, final)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"transaction": "not base64"}, "invalid_field"),
        ({"transaction": "QQ"}, "invalid_field"),
        ({"transaction": "QR=="}, "invalid_field"),
        ({"transaction": ""}, "invalid_field"),
        ({"transaction": "A" * 1648}, "invalid_field"),
        ({"transaction": "QQ==", "wallet": "x"}, "invalid_field"),
        ({}, "invalid_field"),
        ({"transaction": "QQ=="}, "transaction_not_relayed"),
        ({"transaction": text(bytes(1232))}, "transaction_not_relayed"),
    ],
)
def test_what_is_no_transaction_is_refused(client: Any, body: Any, code: str) -> None:
    answer = client.post("/api/transactions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert answer.json()["details"]


def test_foreign_and_mutated_transactions_are_not_stored(world: World) -> None:
    pay = transfer(
        TransferParams(from_pubkey=world.wallet.pubkey(), to_pubkey=OTHER.pubkey(), lamports=1)
    )
    ours = priced(world.wallet, MARKET, recent(world))
    mutated = bytearray(ours)
    mutated[5] ^= 1
    foreign = signed(world.wallet, [create_market(world.wallet, MARKET), pay], recent(world))
    for refused in (signed(world.wallet, [pay], recent(world)), foreign, bytes(mutated)):
        answer = hand_in(world, refused)
        assert (answer.status_code, answer.json()["code"]) == (400, "transaction_not_relayed")
        known = world.client.get(f"/api/transactions/{Signature.from_bytes(refused[1:65])}")
        assert known.status_code == 404


def test_what_the_chain_would_refuse_is_answered_with_its_reason(world: World) -> None:
    poor = Keypair()
    answer = hand_in(world, priced(poor, MARKET, recent(world)))
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_funds")
    unknown = hand_in(world, priced(world.wallet, MARKET, Hash.new_unique()))
    assert (unknown.status_code, unknown.json()["code"]) == (409, "blockhash_expired")
    assert unknown.json()["program_error"] == "BlockhashNotFound"
    activate = instructions.activate_market(
        world.chain.program,
        authority=world.wallet.pubkey(),
        market=market_address(world.chain.program, MARKET)[0],
    )
    absent = hand_in(world, signed(world.wallet, [activate], recent(world)))
    assert absent.status_code == 409
    assert absent.json()["program_error"] == "AccountNotInitialized"


def test_old_blockhash_is_refused(world: World) -> None:
    old = recent(world)
    world.chain.control.advance(160)
    answer = hand_in(world, priced(world.wallet, MARKET, old))
    assert (answer.status_code, answer.json()["code"]) == (409, "blockhash_expired")


def test_transaction_that_its_wallet_has_sent_itself_is_followed(world: World) -> None:
    transaction = priced(world.wallet, MARKET, recent(world))
    world.rpc.send(transaction)
    world.chain.control.advance(3)
    answer = hand_in(world, transaction)
    assert answer.status_code == 201, answer.text
    await_state(world, answer.json()["signature"], "finalized")


def test_nothing_is_stored_while_no_node_answers(client: Any) -> None:
    transaction = priced(Keypair(), MARKET, Hash.default())
    answer = client.post("/api/transactions", json={"transaction": text(transaction)})
    assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
    assert answer.headers["retry-after"]


def test_wallet_has_a_limited_number_of_open_transactions(world: World) -> None:
    limit = world.settings.relay_open_per_wallet
    blockhash = recent(world)
    markets = [bytes([number]) * 32 for number in range(limit + 1)]
    answers = [hand_in(world, priced(world.wallet, one, blockhash)) for one in markets]
    assert [one.status_code for one in answers] == [201] * limit + [429]
    reached = answers[-1].json()["limit"]
    assert (reached["name"], reached["value"]) == ("relay_open_per_wallet", limit)
    assert answers[-1].headers["retry-after"]
    await_state(world, answers[0].json()["signature"], "finalized", slots=2)
    for one in answers[:limit]:
        await_state(world, one.json()["signature"], "finalized", slots=2)
    assert hand_in(world, priced(world.wallet, markets[-1], recent(world))).status_code == 201


def test_node_that_forgets_and_node_that_limits_do_not_lose_it(world: World) -> None:
    for kind in ("dropped-send", "rate-limit"):
        world.chain.control.command(
            "fault", kind=kind, times=3, methods=["sendTransaction"], **RETRY.get(kind, {})
        )
        market_id = kind.encode().ljust(32, b"\0")
        answer = hand_in(world, priced(world.wallet, market_id, recent(world)))
        assert answer.status_code == 201, answer.text
        final = await_state(world, answer.json()["signature"], "finalized")
        world.chain.control.command("clear-faults")
        assert final["relayed"]["sends"] >= 1


def test_dropped_with_its_fork_it_is_sent_again(world: World) -> None:
    world.chain.control.command("hold-finality")
    signature = hand_in(world, priced(world.wallet, MARKET, recent(world))).json()["signature"]
    first = await_state(world, signature, "confirmed")["relayed"]
    since = world.chain.result("getSlot", {"commitment": "processed"}) - first["landed_slot"]
    dropped = world.chain.control.fork(since, keep=[])
    assert signature in dropped
    deadline = time.monotonic() + 60
    while (now := read(world, signature)["relayed"])["landed_slot"] in (None, first["landed_slot"]):
        assert time.monotonic() < deadline, now
        world.chain.control.advance()
        time.sleep(0.05)
    world.chain.control.command("release-finality")
    final = await_state(world, signature, "finalized")["relayed"]
    assert final["sends"] > first["sends"]
    assert market_count(world) == 1


def test_what_never_lands_expires(world: World) -> None:
    world.chain.control.command(
        "fault", kind="dropped-send", times=None, methods=["sendTransaction"]
    )
    signature = hand_in(world, priced(world.wallet, MARKET, recent(world))).json()["signature"]
    await_state(world, signature, "sent")
    final = await_state(world, signature, "expired", slots=20)["relayed"]
    assert (final["landed_slot"], final["error"]) == (None, None)
    assert final["settled_at"] is not None
    assert market_count(world) == 0


def test_transaction_that_fails_on_chain_has_the_programs_error(world: World) -> None:
    """Two creations of one market: both pass the simulation, one of them lands first."""
    world.chain.control.command(
        "fault", kind="dropped-send", times=None, methods=["sendTransaction"]
    )
    late = priced(world.wallet, MARKET, recent(world), price=2)
    signature = hand_in(world, late).json()["signature"]
    await_state(world, signature, "sent")
    world.chain.control.command("clear-faults")
    raw = {"encoding": "base64", "skipPreflight": True}
    world.chain.result("sendTransaction", text(priced(world.wallet, MARKET, recent(world))), raw)
    world.chain.result("sendTransaction", text(late), raw)
    found = await_state(world, signature, "failed")["relayed"]
    assert found["error"]["raw"]["InstructionError"][0] == 1
    assert found["error"]["name"]
    assert found["landed_slot"] is not None


def test_record_has_the_events_of_a_relayed_transaction(world: World) -> None:
    body = hand_in(world, priced(world.wallet, MARKET, recent(world))).json()
    await_state(world, body["signature"], "confirmed", "finalized")
    world.deliver(bytes(Signature.from_string(body["signature"])))
    shown = read(world, body["signature"])
    assert [event["type"] for event in shown["events"]] == ["MarketCreated"]
    assert shown["sources"] == ["webhook"]
    assert shown["relayed"]["fee_payer"] == str(world.wallet.pubkey())


def test_wallet_lists_what_it_pays_for(world: World) -> None:
    mine = [
        hand_in(world, priced(world.wallet, bytes([number]) * 32, recent(world))).json()
        for number in range(3)
    ]
    assert world.client.get("/api/transactions").status_code == 401
    session = session_of(world.client, world.wallet)
    first = world.client.get("/api/transactions?limit=2", headers=session).json()
    assert [row["signature"] for row in first["transactions"]] == [
        one["signature"] for one in reversed(mine[1:])
    ]
    rest = world.client.get(f"/api/transactions?cursor={first['next']}", headers=session).json()
    assert [row["signature"] for row in rest["transactions"]] == [mine[0]["signature"]]
    assert rest["next"] is None
    others = world.client.get("/api/transactions", headers=session_of(world.client, OTHER)).json()
    assert others["transactions"] == []


ACCEPTANCE = "zmart_relay_acceptance_seconds"
PROGRESS = "zmart_relay_progress_seconds"


def test_what_is_handed_in_and_how_it_goes_on_is_counted(world: World) -> None:
    changes = MetricChanges()
    landing = priced(world.wallet, MARKET, recent(world))
    for transaction in (landing, landing, priced(Keypair(), MARKET, recent(world))):
        hand_in(world, transaction)
    signature = str(Signature.from_bytes(landing[1:65]))
    await_state(world, signature, "finalized")
    counted = {one.value: changes.of(f"{ACCEPTANCE}_count", one) for one in Acceptance}
    assert counted == {
        "accepted": 1,
        "repeated": 1,
        "refused": 1,
        "limited": 0,
        "unavailable": 0,
    }
    assert changes.of(f"{ACCEPTANCE}_sum", "accepted") > 0
    # Counted once it is committed, which is what is awaited above.
    deadline = time.monotonic() + 60
    while not changes.of(f"{PROGRESS}_count", "finalized"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert changes.of(f"{PROGRESS}_count", "finalized") == 1
    finalized, confirmed = (
        changes.of(f"{PROGRESS}_sum", one) for one in ("finalized", "confirmed")
    )
    # Between two looks it may have become final at once.
    assert changes.of(f"{PROGRESS}_count", "confirmed") in (0, 1)
    assert 0 <= confirmed <= finalized
    assert finalized > 0


def test_what_no_node_answers_is_counted_as_unavailable(client: Any) -> None:
    changes = MetricChanges()
    body = {"transaction": text(signed(OTHER, [create_market(OTHER, MARKET)]))}
    assert client.post("/api/transactions", json=body).status_code == 503
    assert changes.of(f"{ACCEPTANCE}_count", "unavailable") == 1
