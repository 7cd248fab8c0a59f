"""Heartbeats state the newest position of each channel, and since when Postgres has been away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from litestar.testing.websocket_test_session import WebSocketTestSession
from sqlalchemy import Engine, text

from api.app import create_app
from api.realtime.heartbeats import Heartbeats
from api.realtime.subscriber import Subscriber
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import Frame, market_channel

MARKET = b"\xab" * 32
CHANNEL = market_channel(MARKET)
Client = TestClient[Litestar]
PATIENCE = 120.0


@pytest.fixture
def beating(api_settings: Settings) -> Iterator[Client]:
    """A client of an API whose heart beats fast."""
    settings = api_settings.model_copy(update={"ws_heartbeat_seconds": 0.1})
    with TestClient(create_app(settings)) as made:
        yield made


def append(ledger: Engine, *types: str) -> int:
    """Append frames of these types; the last position."""
    with ledger.begin() as conn:
        return stream.append(conn, [Frame(CHANNEL, type_, {}) for type_ in types])[-1]


def next_beat(socket: WebSocketTestSession) -> dict[str, Any]:
    """The next heartbeat's ``data``; frames before it are skipped."""
    while True:
        message = socket.receive_json(timeout=PATIENCE)
        if message["type"] == "heartbeat":
            assert message["timestamp"].endswith("Z")
            data: dict[str, Any] = message["data"]
            return data


def beats_until(socket: WebSocketTestSession, heads: dict[str, int]) -> None:
    """Wait for a heartbeat with these heads."""
    deadline = time.monotonic() + PATIENCE
    while next_beat(socket)["heads"] != heads:
        assert time.monotonic() < deadline


def subscribe(socket: WebSocketTestSession, channel: str, **more: Any) -> None:
    socket.send_json({"action": "subscribe", "channel": channel} | more)
    while "subscriptions" not in socket.receive_json(timeout=PATIENCE)["data"]:
        pass


def test_heads_are_those_of_each_channel(beating: Client, ledger: Engine) -> None:
    first = append(ledger, "trade")
    with beating.websocket_connect("/ws") as socket:
        assert next_beat(socket)["heads"] == {}
        subscribe(socket, CHANNEL)
        subscribe(socket, f"{CHANNEL}:trades")
        subscribe(socket, f"{CHANNEL}:votes")
        subscribe(socket, "markets")
        known = {"markets": 0, CHANNEL: first, f"{CHANNEL}:trades": first, f"{CHANNEL}:votes": 0}
        beats_until(socket, known)
        vote = append(ledger, "vote")
        beats_until(socket, known | {CHANNEL: vote, f"{CHANNEL}:votes": vote})


def test_a_frame_that_does_not_arrive_shows_in_a_heartbeat(
    beating: Client, ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the channel is quiet after it."""
    with beating.websocket_connect("/ws") as socket:
        subscribe(socket, CHANNEL)
        with monkeypatch.context() as broken:
            broken.setattr(Subscriber, "deliver", lambda *_: None)
            lost = append(ledger, "trade")
            beats_until(socket, {CHANNEL: lost})
        socket.send_json({"action": "subscribe", "channel": CHANNEL, "since": 0})
        while (message := socket.receive_json(timeout=PATIENCE))["type"] != "trade":
            pass
        assert (message["seq"], message["prev"]) == (lost, 0)


def test_read_at_stands_still_while_the_stream_cannot_be_read(
    beating: Client, owner: Engine
) -> None:
    def changes(socket: WebSocketTestSession) -> bool:
        """Whether ``read_at`` moves on within ten heartbeats."""
        return len({next_beat(socket)["read_at"] for _ in range(10)}) > 1

    deadline = time.monotonic() + PATIENCE
    with beating.websocket_connect("/ws") as socket:
        while not changes(socket):
            assert time.monotonic() < deadline
        with owner.begin() as conn:
            conn.execute(text("LOCK TABLE ops.stream IN ACCESS EXCLUSIVE MODE"))
            while changes(socket):
                assert time.monotonic() < deadline
        while not changes(socket):
            assert time.monotonic() < deadline


def test_each_client_has_its_own_rhythm() -> None:
    beats = Heartbeats(15.0, lambda _: {"markets": 7}, lambda: None)
    first, second = Subscriber(1 << 20), Subscriber(1 << 20)

    def sent(subscriber: Subscriber) -> int:
        return len(subscriber._queue)

    with beats.joined(first):
        begun = time.monotonic()
        with beats.joined(second):
            beats._due[second] = begun + 20
            assert 0 < beats._send_due(begun) <= 15
            assert (sent(first), sent(second)) == (0, 0)
            assert beats._send_due(begun + 16) == pytest.approx(4)
            assert (sent(first), sent(second)) == (1, 0)
            beats._send_due(begun + 31)
            assert (sent(first), sent(second)) == (2, 1)
        beats._send_due(begun + 300)
        assert sent(second) == 1, "who has left receives none"
    assert beats._send_due(begun + 900) == 15
    message = json.loads(first._queue[0].text)
    assert message["data"] == {"heads": {"markets": 7}, "read_at": None}
