"""One WebSocket connection: greets, executes commands, sends what the hub delivers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import UNSET, UnsetType
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import identifiers
from api.database import Database
from api.errors import ApiError, invalid, unavailable
from api.realtime import protocol
from api.realtime.hub import Hub, encode
from api.realtime.rate_limit import RateLimit
from api.realtime.subscriber import MAX_SUBSCRIPTIONS, Subscriber
from zmart_pipelines.store.queries import markets
from zmart_pipelines.store.stream import MARKETS_CHANNEL, market_channel

GREETING = "Connected to ZMART WebSocket server"
CLOSE_SECONDS = 1.0
STALLED_SECONDS = 5.0


class Session:
    """One socket from greeting to close."""

    def __init__(self, socket: WebSocket[Any, Any, Any], hub: Hub, database: Database) -> None:
        self._socket = socket
        self._hub = hub
        self._database = database
        self._subscriber = Subscriber()
        self._rate_limit = RateLimit(protocol.MAX_MESSAGES_PER_MINUTE)

    async def run(self) -> None:
        """Serve the socket until either side closes it."""
        self._subscriber.push(
            protocol.reply("welcome", {"client_id": str(uuid.uuid4()), "message": GREETING})
        )
        tasks = {asyncio.create_task(work()) for work in (self._send, self._receive, self._expire)}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.unsubscribe_all(self._subscriber)
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
        return protocol.CLOSE_SLOW, protocol.SLOW_REASON

    async def _expire(self) -> None:
        """End a session whose client is too slow and does not read the close frame either."""
        await self._subscriber.overflowed.wait()
        await asyncio.sleep(STALLED_SECONDS)

    async def _receive(self) -> tuple[int, str]:
        while True:
            text = await self._socket.receive_data("text")
            if not self._rate_limit.allow():
                return (
                    protocol.CLOSE_POLICY,
                    f"More than {protocol.MAX_MESSAGES_PER_MINUTE} messages a minute",
                )
            try:
                await self._execute(protocol.parse_command(text))
            except protocol.InvalidMessage as error:
                self._subscriber.push(protocol.error(str(error)))

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code, reason)

    async def _execute(self, command: protocol.Command) -> None:
        match command.action:
            case "ping":
                self._subscriber.push(protocol.reply("pong", {}))
            case "pong":
                pass
            case "subscribe" | "unsubscribe":
                await self._change_subscription(command)
            case other:
                self._subscriber.push(protocol.error(f"Unknown action: {other[:50]}"))

    async def _change_subscription(self, command: protocol.Command) -> None:
        try:
            channel = await self._channel(command)
            if command.action == "subscribe":
                await self._subscribe(channel, command.since)
            else:
                self._unsubscribe(channel)
        except ApiError as error:
            self._subscriber.push(protocol.error(error.message))
        except (DBAPIError, PoolTimeout):
            self._subscriber.push(protocol.error(unavailable("The database").message))

    async def _channel(self, command: protocol.Command) -> str:
        if MARKETS_CHANNEL in (command.channel, command.market_id):
            return MARKETS_CHANNEL
        market_name = command.market_id
        if market_name is None and command.channel is not None:
            market_name = command.channel.removeprefix("market:")
        if market_name is None:
            raise invalid("market_id", "is required")
        key = identifiers.market_key(market_name)
        market = await self._database.read(lambda conn: markets.resolve(conn, key))
        # A market that is not on chain yet can be subscribed to by its id.
        return market_channel(key if market is None else market.market_id)

    async def _subscribe(self, channel: str, since: int | None) -> None:
        subscriber = self._subscriber
        if channel not in subscriber.channels and len(subscriber.channels) >= MAX_SUBSCRIPTIONS:
            raise ApiError(
                400,
                f"A socket may have at most {MAX_SUBSCRIPTIONS} subscriptions; unsubscribe first",
            )
        replay = await self._hub.subscribe(subscriber, channel, since)
        self._acknowledge("Subscribed to", channel, replay.head)
        if replay.missed is None:
            subscriber.push(
                protocol.reply(
                    "reset",
                    {
                        "reason": "too_old",
                        "message": "Missed frames are no longer stored; read the market again",
                    },
                    channel=channel,
                    seq=replay.head,
                )
            )
        for frame in replay.missed or ():
            subscriber.push(encode(frame))
        subscriber.resume(channel, replay.head)

    def _unsubscribe(self, channel: str) -> None:
        self._hub.unsubscribe(self._subscriber, channel)
        self._acknowledge("Unsubscribed from", channel)

    def _acknowledge(self, verb: str, channel: str, head: int | UnsetType = UNSET) -> None:
        data = {
            "message": f"{verb} market {channel.removeprefix('market:')}",
            "subscriptions": [name.removeprefix("market:") for name in self._subscriber.channels],
        }
        self._subscriber.push(protocol.reply("market_state", data, channel=channel, seq=head))
