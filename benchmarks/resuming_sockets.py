"""Sockets that come back with ``since`` and check every missed frame, as cheaply as possible."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from websockets.frames import Frame, Opcode

# Sockets that share an address; ten are allowed.
SOCKETS_OF_AN_ADDRESS: Final = 10
_PATIENCE: Final = 120.0
_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89
_TWO_BYTES, _EIGHT_BYTES = 126, 127
# The smallest frame.
_HEAD: Final = 2
# A frame ends with its position and the one before it.
_POSITION: Final = b'"seq":'
_PREVIOUS: Final = b',"prev":'
_END: Final = 60


class Missed(NamedTuple):
    """What a client asks for: the frames of a channel after ``since`` and up to ``head``."""

    channel: str
    since: int
    head: int


class ResumedSocket(asyncio.Protocol):
    """One socket from its handshake until it is current.

    Attributes:
        current_at: Is set to the monotonic time of the last missed frame.
    """

    def __init__(self, missed: Missed) -> None:
        self.frames = 0
        self.bytes = 0
        self.current_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._missed = missed
        self._last = missed.since
        self._rest = b""
        self._is_open = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        self.bytes += len(data)
        at = 0
        if not self._is_open:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self._rest = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._fail(f"refused: {data[:100]!r}")
                return
            self._subscribe()
        at = self._take_messages(data, at)
        self._rest = data[at:]
        self.bytes -= len(self._rest)

    def _take_messages(self, data: bytes, at: int) -> int:
        while len(data) - at >= _HEAD:
            size, start = data[at + 1], at + 2
            if size == _TWO_BYTES:
                size, start = int.from_bytes(data[start : at + 4], "big"), at + 4
            elif size == _EIGHT_BYTES:
                size, start = int.from_bytes(data[start : at + 10], "big"), at + 10
            # A head that is cut off as well ends behind the data.
            if start + size > len(data):
                break
            if data[at] == _TEXT:
                self._take(data, start, start + size)
            elif data[at] == _PING:
                self._send(Opcode.PONG, data[start : start + size])
            elif data[at] == _CLOSE:
                self._fail(f"closed: {data[start : start + size]!r}")
            at = start + size
        return at

    def _take(self, data: bytes, start: int, end: int) -> None:
        place = data.rfind(_POSITION, max(start, end - _END), end)
        position, separator, previous = data[place + len(_POSITION) : end - 1].partition(_PREVIOUS)
        if place < 0 or not separator:
            if data.startswith((b'{"type":"reset"', b'{"type":"error"'), start):
                self._fail(f"received the error {data[start:end]!r}")
            return  # greeting or acknowledgement
        if int(previous) != self._last:
            self._fail(f"{int(previous)} after {self._last}")
        self.frames += 1
        self._last = int(position)
        if self._last == self._missed.head and not self.current_at.done():
            self.current_at.set_result(time.monotonic())

    def _subscribe(self) -> None:
        self._is_open = True
        command = {
            "action": "subscribe",
            "channel": self._missed.channel,
            "since": self._missed.since,
        }
        self._send(Opcode.TEXT, json.dumps(command).encode())

    def _send(self, opcode: Opcode, content: bytes) -> None:
        assert self.transport is not None  # noqa: S101 - it is connected
        self.transport.write(Frame(opcode, content).serialize(mask=True))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"lost: {exc!r}")

    def _fail(self, reason: str) -> None:
        if not self.current_at.done():
            self.current_at.set_exception(ConnectionError(reason))


class Storm(NamedTuple):
    """What the clients together received, and when.

    Attributes:
        begun: Monotonic time of the first connection.
        seconds: Until each client was current, sorted.
    """

    begun: float
    seconds: list[float]
    frames: int
    bytes: int


async def resume(port: int, clients: Sequence[Missed]) -> Storm:
    """Let all clients come back at once.

    Raises:
        ConnectionError: One of them was refused, reset or closed, or a frame was missing.
    """
    begun = time.monotonic()
    sockets = await asyncio.gather(
        *(_connect(port, number, missed) for number, missed in enumerate(clients))
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            current = await asyncio.gather(*(socket.current_at for socket in sockets))
    finally:
        for socket in sockets:
            if socket.transport is not None:
                socket.transport.abort()
    return Storm(
        begun,
        sorted(at - begun for at in current),
        sum(socket.frames for socket in sockets),
        sum(socket.bytes for socket in sockets),
    )


async def _connect(port: int, number: int, missed: Missed) -> ResumedSocket:
    group = number // SOCKETS_OF_AN_ADDRESS
    address = f"127.3.{1 + group // 250}.{1 + group % 250}"
    _, made = await asyncio.get_running_loop().create_connection(
        lambda: ResumedSocket(missed), "127.0.0.1", port, local_addr=(address, 0)
    )
    return made
