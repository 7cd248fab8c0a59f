"""A client with thousands of WebSockets: ``python -m benchmarks.socket_client``.

Reads commands as lines of JSON and answers each with a line. A frame carries the time at which it
was published (see ``stamp``); its latency is the time since then. Every socket has the same few
methods and no library, so that the client costs little beside what it measures.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from array import array
from typing import Any, Final

import msgspec
import uvloop

_REQUEST: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_STAMP: Final = b'"stamp":'
# Added to the time, so that every stamp has as many digits.
_STAMP_BASE: Final = 10**18
_STAMP_DIGITS: Final = 19
# Connections that are made at the same time, below the backlog of any server.
_TOGETHER: Final = 50
_ANSWER_SECONDS: Final = 60


def stamp() -> int:
    """Return the time of now as frames carry it: nanoseconds of a clock of the whole machine."""
    return time.monotonic_ns() + _STAMP_BASE


class Group:
    """The sockets on one server, and what they have received since it was last asked for."""

    def __init__(self) -> None:
        self.latencies = array("q")
        self.sample = b""
        self.sockets: list[_Socket] = []
        self.closed: list[str] = []

    def taken(self) -> dict[str, Any]:
        """Return how many frames came and their latencies in nanoseconds; start again."""
        found, self.latencies = sorted(self.latencies), array("q")
        quantiles = {
            name: found[min(len(found) - 1, int(len(found) * share))] if found else None
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        }
        return {"frames": len(found), "closed": self.closed[:3], **quantiles}


class _Socket(asyncio.Protocol):
    """One WebSocket that subscribes once it is open."""

    def __init__(self, group: Group, command: bytes) -> None:
        self._group = group
        self._command = command
        self._rest = b""
        self._is_open = False
        self._transport: Any = None
        self.is_subscribed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self._rest:
            data = self._rest + data
        start = 0
        if not self._is_open:
            start = data.find(b"\r\n\r\n") + 4
            if start < 4:
                self._rest = data
                return
            self._is_open = True
            self._transport.write(masked(_TEXT, self._command))
        size = len(data)
        while size - start >= 2:
            length, head = data[start + 1], 2
            if length == 126:
                length, head = int.from_bytes(data[start + 2 : start + 4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[start + 2 : start + 10], "big"), 10
            end = start + head + length
            if end > size:
                break
            self._receive(data[start] & 15, data[start + head : end], now)
            start = end
        self._rest = data[start:]

    def _receive(self, opcode: int, payload: bytes, now: int) -> None:
        at = payload.find(_STAMP)
        if at >= 0:
            digits = payload[at + len(_STAMP) : at + len(_STAMP) + _STAMP_DIGITS]
            self._group.latencies.append(now + _STAMP_BASE - int(digits))
            self._group.sample = payload
        elif opcode == _PING:
            self._transport.write(masked(_PONG, payload))
        elif opcode == _CLOSE:
            self._group.closed.append(payload[2:].decode())
        elif b'"seq":' in payload and not self.is_subscribed.done():
            self.is_subscribed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._group.closed.append(f"connection lost: {exc}")
        if not self.is_subscribed.done():
            self.is_subscribed.set_exception(ConnectionError(self._group.closed[0]))

    def close(self) -> None:
        """Drop the connection."""
        self._transport.abort()


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame as clients send it; of an all-zero mask the payload stays as it is."""
    size = len(payload)
    head = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + head + bytes(4) + payload


async def connect(group: Group, port: int, sockets: int, per_address: int, command: str) -> None:
    """Open and subscribe so many more sockets, from addresses in 127.0.0.0/8."""
    loop = asyncio.get_running_loop()
    opened = len(group.sockets)

    async def one(number: int) -> None:
        index = number // per_address
        address = f"127.{1 + index // 62_500}.{index // 250 % 250 + 1}.{index % 250 + 1}"
        _, made = await loop.create_connection(
            lambda: _Socket(group, command.encode()),
            "127.0.0.1",
            port,
            local_addr=(address, 0),
        )
        group.sockets.append(made)
        async with asyncio.timeout(_ANSWER_SECONDS):
            await made.is_subscribed

    for first in range(opened, opened + sockets, _TOGETHER):
        last = min(first + _TOGETHER, opened + sockets)
        await asyncio.gather(*map(one, range(first, last)))


async def _execute(groups: dict[str, Group], command: dict[str, Any]) -> Any:
    group = groups.setdefault(command.pop("group"), Group())
    match command.pop("do"):
        case "connect":
            await connect(group, **command)
            return {}
        case "take":
            return group.taken() | {"cpu": time.process_time()}
        case "count":
            return {"frames": len(group.latencies), "closed": group.closed[:3]}
        case "sample":
            return {"text": group.sample.decode()}
        case "close":
            for made in group.sockets:
                made.close()
            groups.clear()
            return {}


async def main() -> None:
    """Execute commands until the input ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    groups: dict[str, Group] = {}
    while line := await asyncio.to_thread(sys.stdin.readline):
        answer = await _execute(groups, msgspec.json.decode(line))
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
