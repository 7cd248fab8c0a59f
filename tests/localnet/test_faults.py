"""Each injected fault has its documented effect, as often as armed."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import (
    SOL,
    blockhash,
    encoded,
    funded,
    pay,
    send,
    signed,
    status,
)

SLOT = {"jsonrpc": "2.0", "id": 5, "method": "getSlot", "params": []}


@pytest.fixture
def client(localnet: Localnet) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=localnet.rpc_url, timeout=60) as made:
        yield made


def test_rate_limit_with_and_without_retry_after(localnet: Localnet, client: httpx.Client) -> None:
    localnet.control.command("fault", kind="rate-limit", retry_after=3)
    localnet.control.command("fault", kind="rate-limit")
    first, second, third = (client.post("/", json=SLOT) for _ in range(3))
    assert (first.status_code, first.headers.get("retry-after")) == (429, "3")
    assert (second.status_code, second.headers.get("retry-after")) == (429, None)
    assert third.json()["result"] > 0
    assert localnet.control.status()["faults"] == []


def test_fault_applies_to_its_methods_until_cleared(
    localnet: Localnet, client: httpx.Client
) -> None:
    localnet.control.command(
        "fault", kind="server-error", status=503, methods=["getSlot"], times=None
    )
    for _ in range(3):
        assert client.post("/", json=SLOT).status_code == 503
    assert localnet.result("getBlockHeight") > 0
    assert client.post("/", json=[{**SLOT, "method": "getHealth"}, SLOT]).status_code == 503
    localnet.control.command("clear-faults")
    assert client.post("/", json=SLOT).status_code == 200


def test_invalid_responses(localnet: Localnet, client: httpx.Client) -> None:
    for kind in ("html", "truncated", "wrong-id", "null-result", "unhealthy"):
        localnet.control.command("fault", kind=kind)
    page = client.post("/", json=SLOT)
    assert page.status_code == 200
    assert page.text.startswith("<!DOCTYPE html>")
    ill = client.post("/", json=SLOT).json()
    assert ill["error"]["code"] == -32005
    assert ill["error"]["data"] == {"numSlotsBehind": 100}
    cut = client.post("/", json=SLOT)
    with pytest.raises(json.JSONDecodeError):
        cut.json()
    assert client.post("/", json=SLOT).json()["id"] == 6
    assert client.post("/", json=SLOT).json() == {"jsonrpc": "2.0", "id": 5, "result": None}
    assert client.post("/", json=SLOT).json()["id"] == 5


def test_slow_response_is_sent_in_pieces(localnet: Localnet, client: httpx.Client) -> None:
    localnet.control.command("fault", kind="slow", seconds=1)
    begun = time.monotonic()
    assert client.post("/", json=SLOT).json()["result"] > 0
    assert time.monotonic() - begun > 0.9


def test_request_with_a_lost_response_was_executed(
    localnet: Localnet, client: httpx.Client
) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    tx = signed([pay(wallet, to, SOL)], wallet, blockhash(localnet))
    localnet.control.command("fault", kind="lost-answer", methods=["sendTransaction"])
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "sendTransaction",
        "params": [encoded(tx), {"encoding": "base64", "preflightCommitment": "confirmed"}],
    }
    with pytest.raises(httpx.TransportError):
        client.post("/", json=body)
    assert status(localnet, str(tx.signatures[0]))["confirmationStatus"] == "processed"


def test_dropped_send_returns_a_signature_and_never_lands(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    tx = signed([pay(wallet, to, SOL)], wallet, blockhash(localnet))
    localnet.control.command("fault", kind="dropped-send", methods=["sendTransaction"])
    assert send(localnet, tx)["result"] == str(tx.signatures[0])
    localnet.control.advance(slots=3)
    assert status(localnet, str(tx.signatures[0]), history=True) is None
    # The preflight ran all the same.
    localnet.control.command("fault", kind="dropped-send")
    broke = signed([pay(wallet, to, 100 * SOL)], wallet, blockhash(localnet))
    assert send(localnet, broke)["error"]["code"] == -32002
    assert send(localnet, tx)["result"] == str(tx.signatures[0])
    assert status(localnet, str(tx.signatures[0]))["confirmationStatus"] == "processed"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"kind": "gremlins"}, "kind"),
        ({"kind": "html", "times": 0}, "times"),
        ({"kind": "server-error", "status": 200}, "status"),
        ({"kind": "slow", "seconds": -1}, "seconds"),
        ({"kind": "slow", "second": 1}, "second"),
    ],
)
def test_invalid_fault_is_refused_with_the_reason(
    localnet: Localnet, arguments: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        localnet.control.command("fault", **arguments)


def test_lagging_node_responds_as_of_blocks_ago(localnet: Localnet) -> None:
    wallet = Keypair().pubkey()
    signature = localnet.airdrop(wallet)
    localnet.control.advance(slots=9)

    def behind(lag: int, method: str, *params: object) -> dict[str, object]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        body: dict[str, object] = httpx.post(f"{localnet.rpc_url}/lag/{lag}", json=request).json()
        return body

    for level in ("processed", "confirmed", "finalized"):
        options = {"commitment": level}
        assert behind(4, "getSlot", options)["result"] == localnet.result("getSlot", options) - 4
    assert localnet.result("getBalance", str(wallet))["value"] == SOL
    assert behind(4, "getBalance", str(wallet))["result"]["value"] == 0  # type: ignore[index]
    known = behind(8, "getSignatureStatuses", [signature])["result"]["value"][0]  # type: ignore[index]
    assert known["confirmationStatus"] == "confirmed"
    assert known["confirmations"] == 2
    known = behind(11, "getSignatureStatuses", [signature])["result"]["value"][0]  # type: ignore[index]
    assert known is None
    slot = localnet.result("getSlot")
    refused = behind(4, "getBalance", str(wallet), {"minContextSlot": slot})
    assert refused["error"]["code"] == -32016  # type: ignore[index]
    assert httpx.post(f"{localnet.rpc_url}/lag/65", json=SLOT).status_code == 404
    assert httpx.post(f"{localnet.rpc_url}/elsewhere", json=SLOT).status_code == 404
