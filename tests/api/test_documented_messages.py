"""Every message of the AsyncAPI document is sent, and looks like its example.

With ``RECORD_EXAMPLES=1`` in the environment the examples are replaced by what was received.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.asyncapi import examples
from api.asyncapi.messages import SENT
from api.realtime import start, starts
from tests.api.documented_examples import examples_of, members
from tests.api.documented_messages import DocumentedMessages
from tests.api.private_sockets import own_channel, ticket
from tests.api.recorded_ledger import store
from tests.api.seed import wallet
from tests.api.signing_in import bearer, session_of, sign_in
from tests.api.wallets import proof, signed
from tests.ledger.recorded_rpc import PROGRAM, SOL, WINDOW, Recorder, address
from tests.reference_model.account_frame import Cell
from tests.relay import signed_transactions
from zmart_pipelines.monitoring.alerts import AlertKey, raise_alert
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.relay import rows
from zmart_pipelines.relay.signed_transaction import parse_signed
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, act_as
from zmart_pipelines.submissions.switches import set_switch

Client = TestClient[Litestar]
ALICE, OPERATOR = wallet(1), wallet(3)
QUESTION = b"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"


@pytest.fixture
def client(api_settings: Settings) -> Iterator[Client]:
    """A client of an API that sends heartbeats often, with an operator's wallet."""
    changed = {"ws_heartbeat_seconds": 0.2, "operators": str(OPERATOR.pubkey())}
    with TestClient(create_app(Settings(**api_settings.model_dump() | changed))) as made:
        yield made


class Receiver:
    """A socket, and what it receives, by the name in the document."""

    def __init__(self, client: Client, stack: ExitStack, messages: dict[str, Any]) -> None:
        self._socket = stack.enter_context(client.websocket_connect("/ws"))
        self._documented = DocumentedMessages()
        self._messages = messages
        self.until("welcome")

    def command(self, *answers: str, **members: Any) -> None:
        """Send a command, and receive until its answers were among the messages."""
        self._socket.send_json(members)
        self.until(*answers)

    def until(self, *names: str) -> None:
        """Receive messages until those of these names were among them."""
        wanted = set(names)
        while wanted:
            message = self._socket.receive_json(timeout=60)
            name = self._documented.check(message)
            if name == "heartbeat" and not message["data"]["heads"]:
                continue  # from before the subscription
            self._messages.setdefault(name, message)
            wanted.discard(name)


class Stage:
    """An API with a market in its ledger, and sockets that note what they receive."""

    def __init__(self, client: Client, ledger: Engine, database: str, stack: ExitStack) -> None:
        self.client = client
        self.messages: dict[str, Any] = {}
        self._ledger = ledger
        self._database = database
        self._stack = stack
        self._chain = Recorder()
        self._chain.model.cells[ALICE.pubkey()] = Cell(100 * SOL)
        self._stored = 0
        self.market_id = self._chain.create(1, question_hash=QUESTION)
        self._store()

    def socket(self) -> Receiver:
        """A new socket."""
        return Receiver(self.client, self._stack, self.messages)

    def _store(self) -> None:
        store(self._ledger, self._chain.transactions[self._stored :], "finalized")
        self._stored = len(self._chain.transactions)

    def trade(self) -> None:
        """The wallet buys."""
        self._chain.open(self.market_id)
        assert self._chain.buy(self.market_id, ALICE.pubkey()).error is None
        self._store()

    def finalize(self) -> None:
        """The wallet's side wins."""
        chain, market = self._chain, address(self.market_id)
        chain.advance(WINDOW)
        resolution = ix.resolve_market(
            PROGRAM, resolver=chain.users[2], market=market, outcome=True, evidence_hash=QUESTION
        )
        assert chain.send(resolution).error is None
        chain.advance(2 * WINDOW)
        finalization = ix.finalize_market(PROGRAM, backend_authority=chain.backend, market=market)
        assert chain.send(finalization).error is None
        self._store()

    def vote(self) -> None:
        """The wallet votes on the proposal."""
        name = self.market_id.hex()
        text = self.client.get(f"/api/votes/proposal/{name}/message?vote=like").json()
        body = {"market_id": name, "vote": True} | proof(ALICE, text["message"])
        assert self.client.post("/api/votes/proposal", json=body).status_code == 201

    def comment(self) -> None:
        """The wallet comments on the market."""
        body = {"market_id": self.market_id.hex(), "content": "It will rain."}
        body = signed(self.client, ALICE, "/api/discussions", body)
        assert self.client.post("/api/discussions", json=body).status_code == 201

    def hand_in(self) -> None:
        """The wallet hands a transaction in."""
        instruction = signed_transactions.create_market(ALICE, b"\x07" * 32)
        one = parse_signed(signed_transactions.signed(ALICE, [instruction]), PROGRAM)
        engine = role_engine(Role.API, self._database)
        with engine.begin() as conn:
            act_as(conn, one.fee_payer)
            assert rows.store(conn, one, 100, open_limit=10)
        engine.dispose()

    def alert(self) -> None:
        """Operators are alerted."""
        with self._ledger.begin() as conn:
            raise_alert(conn, AlertKey("lag", subject="confirmed"), "high", "Behind", {"slots": 7})

    def stop_submissions(self) -> None:
        """An operator throws a kill switch."""
        engine = role_engine(Role.PIPELINES, self._database)
        with engine.begin() as conn:
            set_switch(conn, "all", enabled=False, reason="a drill")
        engine.dispose()


def follow_market(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receive what anyone may: of a market, and of connections."""
    market = stage.market_id.hex()
    prices = f"market:{market}:prices"
    socket = stage.socket()
    socket.command("subscribed", "heartbeat", action="subscribe", channel=prices)
    socket.command("unsubscribed", action="unsubscribe", channel=prices)
    socket.command("marketSubscribed", action="subscribe", market_id=market)
    stage.vote()
    socket.until("vote")
    stage.comment()
    socket.until("comment")
    stage.trade()
    socket.until("trade", "marketState")
    page = stage.client.get(f"/api/stream?market={market}&after=0").json()
    documented = DocumentedMessages()
    assert {documented.check(frame) for frame in page["frames"]} == {
        "comment",
        "marketState",
        "trade",
        "vote",
    }
    socket.command("marketUnsubscribed", action="unsubscribe", market_id=market)
    socket.command("prices", action="subscribe", channel=prices, since=0)
    with monkeypatch.context() as patch:
        for module in (start, starts):  # of the table, and of what is kept in memory
            patch.setattr(module, "MAX_REPLAY", 1)
        socket.command("reset", action="subscribe", market_id=market, since=0)
    socket.command("pong", action="ping")
    socket.command("error", action="subscribe", market_id="nothing")


def follow_operations(stage: Stage) -> None:
    """Receive alerts, with and without their texts, and the state of the system."""
    anyone, operator = stage.socket(), stage.socket()
    allowed = ticket(stage.client, session_of(stage.client, OPERATOR))
    operator.command("authenticated", action="authenticate", ticket=allowed)
    for socket in (anyone, operator):
        socket.command("subscribed", action="subscribe", channel="alerts")
    stage.alert()
    anyone.until("alert")
    operator.until("operatorAlert")
    anyone.command("subscribed", action="subscribe", channel="system")
    stage.stop_submissions()
    anyone.until("system")


def follow_wallet(stage: Stage) -> None:
    """Receive what belongs to a wallet, until its session ends."""
    tokens = sign_in(stage.client, ALICE)
    allowed = ticket(stage.client, bearer(tokens))
    socket = stage.socket()
    socket.command("authenticated", action="authenticate", ticket=allowed)
    socket.command("position", "trade", action="subscribe", channel=own_channel(ALICE), since=0)
    stage.finalize()
    socket.until("claim")
    stage.hand_in()
    socket.until("transaction")
    stage.client.post("/api/auth/logout", json={"refresh_token": tokens["refresh_token"]})
    socket.until("subscriptionEnded")


def record(messages: dict[str, Any]) -> None:
    """Replace the examples of these messages."""
    recorded = json.loads(examples.FILE.read_text()) | messages
    examples.FILE.write_text(json.dumps(recorded, indent=2, ensure_ascii=False) + "\n")
    examples.recorded.cache_clear()


def test_every_documented_message_is_sent(
    client: Client, ledger: Engine, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        stage = Stage(client, ledger, database, stack)
        follow_market(stage, monkeypatch)
        follow_operations(stage)
        follow_wallet(stage)
    assert set(stage.messages) == {message.name for message in SENT}
    if os.environ.get("RECORD_EXAMPLES"):
        record(stage.messages)
    for name, message in stage.messages.items():
        assert members(message) == members(examples.of(name)), f"{name}: run with RECORD_EXAMPLES=1"
    documented = examples_of("realtime.md")
    assert documented.keys() == {"authenticated", "heartbeat", "subscribed", "vote"}
    for name, example in documented.items():
        assert members(example) == members(stage.messages[name]), f"docs/realtime.md: {name}"
