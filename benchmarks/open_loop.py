"""Users that each send a request at fixed times, whether or not the one before is answered.

A time runs from the moment at which a request was due to the last byte of its answer, so that a
server that falls behind is not spared. Each user has an address of its own in 127.0.0.0/8, as
users on the internet have, and connections that stay open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec

_ANSWER_SECONDS: Final = 30.0


class Call(NamedTuple):
    """A request: what it is counted as, and its bytes."""

    kind: str
    content: bytes


class Outcome(NamedTuple):
    """What became of a call of a second; ``status`` is 0 where there was no answer."""

    kind: str
    second: int
    seconds: float
    status: int
    text: bytes


def call(
    kind: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Call:
    """Return a GET or, with a body, a POST."""
    encoded = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(encoded)}"]
    return Call(kind, "\r\n".join([*lines, "", ""]).encode() + encoded)


class _Connection(asyncio.Protocol):
    """One request at a time on an open connection."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport, self.is_open = cast(asyncio.Transport, transport), True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        place = self._received.lower().find(b"content-length:", 0, end)
        if place < 0:
            self._answer.set_exception(ValueError("an answer without a length"))
            return
        length = int(self._received[place + 15 : self._received.find(b"\r\n", place)])
        if len(self._received) >= end + 4 + length:
            self._answer.set_result((int(self._received[9:12]), bytes(self._received[end + 4 :])))
            self._received.clear()

    async def send(self, content: bytes) -> tuple[int, bytes]:
        assert self._transport is not None  # noqa: S101 - it is connected
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return await asyncio.wait_for(self._answer, _ANSWER_SECONDS)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class User:
    """One user's address and its open connections."""

    def __init__(self, number: int, port: int) -> None:
        # .0 and .255 are left out, and 127.0.0.x, which other clients use.
        self.address = f"127.1.{1 + number // 250}.{1 + number % 250}"
        self._port = port
        self._idle: list[_Connection] = []

    async def send(self, one: Call) -> tuple[int, bytes]:
        """Send on an idle connection or a new one; return status and body."""
        connection = await self._connection()
        try:
            answer = await connection.send(one.content)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            known = self._idle.pop()
            if known.is_open:
                return known
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            _Connection, "127.0.0.1", self._port, local_addr=(self.address, 0)
        )
        return made

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()


async def run(users: Sequence[User], calls: Sequence[Sequence[Call]]) -> list[Outcome]:
    """Send each user's calls, one per second, those of the users spread evenly over the second."""
    outcomes: list[Outcome] = []
    begun = time.monotonic() + 0.1

    async def send(user: User, one: Call, second: int, due: float) -> None:
        try:
            status, text = await user.send(one)
        except (OSError, ValueError, TimeoutError) as error:
            status, text = 0, repr(error).encode()
        outcomes.append(Outcome(one.kind, second, time.monotonic() - due, status, text))

    async with asyncio.TaskGroup() as group:
        for second in range(len(calls[0])):
            for number, user in enumerate(users):
                due = begun + second + number / len(users)
                wait = due - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                group.create_task(send(user, calls[number][second], second, due))
    return outcomes
