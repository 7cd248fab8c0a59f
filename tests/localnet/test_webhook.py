"""Webhooks arrive in Helius' raw form, once confirmed, and are retried as Helius does."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.fixtures.localnet import Localnet, StartLocalnet
from tests.localnet.wallets import SOL, blockhash, funded, pay, send, signed, status
from zmart_pipelines.chain.transactions import from_helius, from_rpc
from zmart_pipelines.program import instructions

SECRET = "a value of at least thirty-two bytes"


class Receiver:
    """A server that records requests and responds with the given status codes."""

    def __init__(self) -> None:
        self.requests: list[tuple[float, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((time.monotonic(), headers, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {count} requests arrived"
            time.sleep(0.02)

    def bodies(self) -> list[list[dict[str, Any]]]:
        return [json.loads(body) for _, _, body in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.server.shutdown()


@pytest.fixture
def chain(start_localnet: StartLocalnet, receiver: Receiver) -> Localnet:
    """A chain whose genesis deliveries have already arrived."""
    chain = start_localnet(
        "--confirm-depth",
        "2",
        "--webhook",
        "--webhook-url",
        receiver.url,
        environment={"HELIUS_WEBHOOK_SECRET": SECRET},
    )
    receiver.requests.clear()
    return chain


def create(chain: Localnet, market: int) -> Callable[[], Any]:
    wallet = funded(chain)
    make = instructions.create_market(
        chain.program,
        creator=wallet.pubkey(),
        market_id=bytes([market] * 32),
        b_parameter=100 * SOL,
        initial_liquidity=SOL,
        question_hash=b"Q" * 46,
    )
    return lambda: send(chain, signed([make], wallet, blockhash(chain)))


def test_confirmed_transactions_of_the_program_are_posted_raw(
    chain: Localnet, receiver: Receiver
) -> None:
    wallet = funded(chain)
    first, second = create(chain, 1), create(chain, 2)
    failing = instructions.approve_proposal(
        chain.program, admin=wallet.pubkey(), market=wallet.pubkey()
    )
    foreign = signed([pay(wallet, chain.keys["fee"].pubkey(), 1)], wallet, blockhash(chain))
    signatures = [
        first()["result"],
        send(chain, foreign)["result"],
        send(chain, signed([failing], wallet, blockhash(chain)), skipPreflight=True)["result"],
        second()["result"],
    ]
    chain.control.advance()
    time.sleep(0.2)
    assert receiver.requests == []
    chain.control.advance()
    receiver.wait(1)
    _, headers, body = receiver.requests[0]
    assert headers["authorization"] == SECRET
    assert headers["content-type"] == "application/json"
    posted = json.loads(body)
    del signatures[1]
    assert [row["transaction"]["signatures"][0] for row in posted] == signatures
    assert [row["indexWithinBlock"] for row in posted] == [0, 2, 3]
    assert posted[1]["meta"]["err"] == {"InstructionError": [0, {"Custom": 3007}]}
    slot = status(chain, signatures[0])["slot"]
    assert {row["slot"] for row in posted} == {slot}
    assert set(posted[0]) == {
        "blockTime",
        "indexWithinBlock",
        "meta",
        "slot",
        "transaction",
        "version",
    }
    # The same transaction is decoded from the webhook as from getTransaction.
    hooked = from_helius(body, chain.program)
    options = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    for row in hooked:
        text = signatures[hooked.index(row)]
        assert row == from_rpc(chain.result("getTransaction", text, options), chain.program)


def test_failed_delivery_is_retried_three_times_a_second_apart(
    chain: Localnet, receiver: Receiver
) -> None:
    receiver.answers = [500, 503, 500, 500]
    create(chain, 1)()
    begun = time.monotonic()
    chain.control.advance(slots=2)
    receiver.wait(4)
    assert receiver.requests[-1][0] - begun >= 3
    assert len({body for _, _, body in receiver.requests}) == 1
    time.sleep(1.3)
    assert len(receiver.requests) == 4
    assert "webhook delivery dropped: HTTP status 500" in chain.log()
    assert SECRET not in chain.log()


def test_forbidden_delivery_is_not_retried(chain: Localnet, receiver: Receiver) -> None:
    receiver.answers = [403]
    create(chain, 1)()
    chain.control.advance(slots=2)
    receiver.wait(1)
    time.sleep(1.3)
    assert len(receiver.requests) == 1


def markets_of(bodies: list[list[dict[str, Any]]]) -> list[list[str]]:
    return [[row["transaction"]["signatures"][0] for row in body] for body in bodies]


def test_webhook_faults(chain: Localnet, receiver: Receiver) -> None:
    def act(market: int, fault: str | None, **arguments: Any) -> list[str]:
        """Create two markets in one block; the caller waits for the deliveries."""
        receiver.requests.clear()
        first, second = create(chain, market), create(chain, market + 1)
        if fault is not None:
            chain.control.command("fault", kind=fault, **arguments)
        sent = [first()["result"], second()["result"]]
        chain.control.advance(slots=2)
        return sent

    sent = act(10, "webhook-duplicate")
    receiver.wait(2)
    assert markets_of(receiver.bodies()) == [sent, sent]

    sent = act(20, "webhook-split")
    receiver.wait(2)
    assert markets_of(receiver.bodies()) == [[sent[1]], [sent[0]]]

    begun = time.monotonic()
    act(30, "webhook-delay", seconds=0.7)
    receiver.wait(1)
    assert time.monotonic() - begun > 0.7

    sent = act(40, "webhook-forge")
    receiver.wait(2)
    (_, forged, _), (_, genuine, _) = receiver.requests
    assert forged["authorization"] != SECRET
    assert genuine["authorization"] == SECRET
    invented, real = markets_of(receiver.bodies())
    assert real == sent
    assert all(status(chain, text, history=True) is None for text in invented)

    sent = act(50, "webhook-drop")
    later = create(chain, 52)()["result"]
    chain.control.advance(slots=2)
    receiver.wait(1)
    time.sleep(0.3)
    assert markets_of(receiver.bodies()) == [[later]]

    sent = act(60, "webhook-reorder")
    later = create(chain, 62)()["result"]
    chain.control.advance(slots=2)
    receiver.wait(2)
    assert markets_of(receiver.bodies()) == [[later], sent]
