"""The WebSocket endpoint: greets, reads commands, sends what the hub delivers."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import UNSET, UnsetType
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import identifiers
from api.database import Database
from api.errors import ApiError
from api.realtime import protocol
from api.realtime.hub import Hub, encode
from api.realtime.subscriber import MAX_SUBSCRIPTIONS, Subscriber
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import markets
from zmart_pipelines.store.stream import MARKETS_CHANNEL, market_channel

GREETING = "Connected to ZMART WebSocket server"
CLOSE_SECONDS = 1.0
STALLED_SECONDS = 5.0


class Door:
    """Who may connect: known origins only, and so many sockets from one address."""

    def __init__(self, settings: Settings) -> None:
        own = (settings.api_port, settings.ws_port)
        self._origins = set(settings.origins) | {
            f"http://{host}:{port}"
            for host in {settings.api_host, "localhost", "127.0.0.1"}
            for port in own
        }
        self._limit = settings.ws_connections_per_ip
        self._open: Counter[str] = Counter()

    def refusal(self, socket: WebSocket[Any, Any, Any]) -> tuple[int, str] | None:
        """Close code and reason for a socket that must not stay; None lets it in.

        Clients that are no browsers send no Origin.
        """
        origin = socket.headers.get("origin")
        if origin is not None and origin not in self._origins:
            return protocol.CLOSE_POLICY, "this origin may not connect"
        if self._open[_address(socket)] >= self._limit:
            return protocol.CLOSE_TOO_MANY, f"more than {self._limit} sockets from one address"
        return None

    @contextlib.contextmanager
    def entered(self, socket: WebSocket[Any, Any, Any]) -> Iterator[None]:
        """Count the socket while the block runs."""
        address = _address(socket)
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


def _address(socket: WebSocket[Any, Any, Any]) -> str:
    return socket.client.host if socket.client else "unknown"


class Pace:
    """At most so many messages in any minute."""

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._times: deque[float] = deque()

    def allows(self) -> bool:
        """Count one message; whether it is within the limit."""
        now = time.monotonic()
        while self._times and self._times[0] < now - 60:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self._limit


class Session:
    """One socket from greeting to close."""

    def __init__(self, socket: WebSocket[Any, Any, Any], hub: Hub, database: Database) -> None:
        self._socket = socket
        self._hub = hub
        self._database = database
        self._subscriber = Subscriber()
        self._pace = Pace(protocol.MAX_MESSAGES_PER_MINUTE)

    async def run(self) -> None:
        """Serve until either side ends it."""
        self._subscriber.push(
            protocol.reply("welcome", {"client_id": str(uuid.uuid4()), "message": GREETING})
        )
        tasks = {asyncio.create_task(work()) for work in (self._send, self._receive, self._expire)}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.forget(self._subscriber)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, tuple):
                await self._close(*result)
            elif isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                raise result

    async def _send(self) -> tuple[int, str]:
        while (text := await self._subscriber.next()) is not None:
            await self._socket.send_data(text)
        return protocol.CLOSE_SLOW, "too slow; come back with since"

    async def _expire(self) -> None:
        """End a session whose client neither keeps up nor takes the close frame."""
        await self._subscriber.given_up.wait()
        await asyncio.sleep(STALLED_SECONDS)

    async def _receive(self) -> tuple[int, str]:
        while True:
            text = await self._socket.receive_data("text")
            if not self._pace.allows():
                return protocol.CLOSE_POLICY, "too many messages"
            try:
                await self._obey(protocol.read(text))
            except protocol.Malformed as error:
                self._subscriber.push(protocol.error(str(error)))

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code, reason)

    async def _obey(self, command: protocol.Command) -> None:
        match command.action:
            case "ping":
                self._subscriber.push(protocol.reply("pong", {}))
            case "pong":
                pass
            case "subscribe" | "unsubscribe":
                try:
                    channel = await self._channel(command)
                    if command.action == "subscribe":
                        await self._subscribe(channel, command.since)
                    else:
                        self._unsubscribe(channel)
                except ApiError as error:
                    self._subscriber.push(protocol.error(error.message))
                except (DBAPIError, PoolTimeout):
                    self._subscriber.push(
                        protocol.error("The database is not available at the moment; try again")
                    )
            case other:
                self._subscriber.push(protocol.error(f"Unknown action: {other[:50]}"))

    async def _channel(self, command: protocol.Command) -> str:
        if MARKETS_CHANNEL in (command.channel, command.market_id):
            return MARKETS_CHANNEL
        name = command.market_id
        if name is None and command.channel is not None:
            name = command.channel.removeprefix("market:")
        if name is None:
            raise ApiError(400, "market_id is missing")
        key = identifiers.market_key(name)
        market = await self._database.read(lambda conn: markets.resolve(conn, key))
        # A market that is not on chain yet can be followed by its id.
        return market_channel(key if market is None else market.market_id)

    async def _subscribe(self, channel: str, since: int | None) -> None:
        subscriber = self._subscriber
        if channel not in subscriber.channels and len(subscriber.channels) >= MAX_SUBSCRIPTIONS:
            raise ApiError(400, f"A socket follows at most {MAX_SUBSCRIPTIONS} channels")
        replay = await self._hub.follow(subscriber, channel, since)
        self._acknowledge("Subscribed to", channel, replay.head)
        if replay.missed is None:
            subscriber.push(
                protocol.reply(
                    "reset",
                    {"reason": "too_old", "message": "Read the market again, then go on"},
                    channel=channel,
                    seq=replay.head,
                )
            )
        for frame in replay.missed or ():
            subscriber.push(encode(frame))
        subscriber.resume(channel, replay.head)

    def _unsubscribe(self, channel: str) -> None:
        self._hub.leave(self._subscriber, channel)
        self._acknowledge("Unsubscribed from", channel)

    def _acknowledge(self, verb: str, channel: str, head: int | UnsetType = UNSET) -> None:
        data = {
            "message": f"{verb} market {channel.removeprefix('market:')}",
            "subscriptions": [name.removeprefix("market:") for name in self._subscriber.channels],
        }
        self._subscriber.push(protocol.reply("market_state", data, channel=channel, seq=head))
