"""A WebSocket client that asks for missed frames and does not read them."""

from __future__ import annotations

import json
import socket

HANG = 60.0
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def command(market: bytes) -> bytes:
    """Subscribe to everything missed of a market, as a masked frame."""
    text = json.dumps({"action": "subscribe", "market_id": market.hex(), "since": 0}).encode()
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


def stalled_reader(port: int, market: bytes) -> socket.socket:
    """A client with a small buffer that asks for three replays and reads nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(HANG)
    made.connect(("127.0.0.1", port))
    made.sendall(UPGRADE)
    answer = b""
    while b"welcome" not in answer:
        received = made.recv(4096)
        assert received, f"the socket was closed: {answer!r}"
        answer += received
    made.sendall(command(market) * 3)
    return made
