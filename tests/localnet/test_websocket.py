"""The socket responds to invalid messages with errors, and removes disconnected clients."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from solders.keypair import Keypair
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import SOL, blockhash, funded, pay, send, signed


@pytest.fixture
def socket(localnet: Localnet) -> Iterator[Connection]:
    with connect(localnet.ws_url) as made:
        yield made


def ask(socket: Connection, method: str, *params: Any) -> Any:
    socket.send(json.dumps({"jsonrpc": "2.0", "id": 3, "method": method, "params": params}))
    return json.loads(socket.recv(60))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", -32700),
        ("5", -32600),
        ('{"id": 1}', -32600),
        ('{"id": 1, "method": "tradesSubscribe"}', -32601),
        ('{"id": 1, "method": "getSlot"}', -32601),
        ('{"id": 1, "method": "signatureSubscribe", "params": ["x"]}', -32602),
        ('{"id": 1, "method": "logsSubscribe", "params": [{"mentions": []}]}', -32602),
        ('{"id": 1, "method": "slotUnsubscribe", "params": [77]}', -32602),
    ],
)
def test_invalid_messages_get_an_error(socket: Connection, text: str, code: int) -> None:
    socket.send(text)
    assert json.loads(socket.recv(60))["error"]["code"] == code
    assert "result" in ask(socket, "slotSubscribe")


def test_signature_that_already_landed_is_notified_at_once_and_only_once(
    localnet: Localnet, socket: Connection
) -> None:
    wallet = funded(localnet)
    tx = signed([pay(wallet, wallet.pubkey(), 1)], wallet, blockhash(localnet))
    send(localnet, tx)
    text = str(tx.signatures[0])
    number = ask(socket, "signatureSubscribe", text, {"commitment": "processed"})["result"]
    notification = json.loads(socket.recv(60))
    assert notification["method"] == "signatureNotification"
    assert notification["params"]["subscription"] == number
    assert notification["params"]["result"]["value"] == {"err": None}
    assert ask(socket, "signatureUnsubscribe", number)["error"]["code"] == -32602


def test_failed_transaction_is_notified_with_its_error(
    localnet: Localnet, socket: Connection
) -> None:
    wallet = funded(localnet)
    localnet.control.finalize()
    tx = signed([pay(wallet, Keypair().pubkey(), 99 * SOL)], wallet, blockhash(localnet))
    ask(socket, "signatureSubscribe", str(tx.signatures[0]), {"commitment": "confirmed"})
    ask(socket, "logsSubscribe", "all", {"commitment": "finalized"})
    send(localnet, tx, skipPreflight=True)
    localnet.control.finalize()
    notifications = [json.loads(socket.recv(60)) for _ in range(2)]
    error = {"InstructionError": [0, {"Custom": 1}]}
    assert [one["method"] for one in notifications] == ["signatureNotification", "logsNotification"]
    assert [one["params"]["result"]["value"]["err"] for one in notifications] == [error, error]


def test_disconnected_client_is_removed(localnet: Localnet) -> None:
    for _ in range(20):
        with connect(localnet.ws_url) as socket:
            ask(socket, "slotSubscribe")
    localnet.control.advance(slots=5)
    assert localnet.log() == ""
