"""Sockets that sign in by a ticket, for the tests of private channels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from litestar.testing.websocket_test_session import WebSocketTestSession
from solders.keypair import Keypair

Client = TestClient[Litestar]
WAIT_SECONDS = 60


def ticket(client: Client, headers: Mapping[str, str]) -> str:
    """A new ticket of whom the headers identify."""
    answer = client.post("/api/realtime/tickets", headers=dict(headers))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert body["expires_in"] == 30
    return str(body["ticket"])


@contextlib.contextmanager
def greeted(client: Client) -> Iterator[WebSocketTestSession]:
    """A socket after its welcome."""
    with client.websocket_connect("/ws") as socket:
        assert receive(socket)["type"] == "welcome"
        yield socket


def receive(socket: WebSocketTestSession) -> dict[str, Any]:
    """The next message but heartbeats."""
    while True:
        message: dict[str, Any] = socket.receive_json(timeout=WAIT_SECONDS)
        if message["type"] != "heartbeat":
            return message


def asked(socket: WebSocketTestSession, **command: Any) -> dict[str, Any]:
    """Send a command; the answer."""
    socket.send_json(command)
    return receive(socket)


def authenticated(socket: WebSocketTestSession, good: str) -> dict[str, Any]:
    """Sign the socket in."""
    answer = asked(socket, action="authenticate", ticket=good)
    assert answer["type"] == "authenticated", answer
    data: dict[str, Any] = answer["data"]
    return data


def own_channel(wallet: Keypair) -> str:
    """The channel of a wallet."""
    return f"wallet:{wallet.pubkey()}"
