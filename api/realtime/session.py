"""One WebSocket connection: greets, executes commands, sends what the hub delivers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import UNSET, UnsetType
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.database import Database
from api.errors import ApiError, invalid, unavailable
from api.realtime import protocol
from api.realtime.address_budget import AddressBudget
from api.realtime.hub import Hub
from api.realtime.rate_limit import RateLimit
from api.realtime.subscriber import Subscriber
from api.requests import identifiers
from zmart_pipelines.client_schemas.frames import displayed_prices
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import markets
from zmart_pipelines.store.stream import MARKETS_CHANNEL, market_channel

GREETING = "Connected to ZMART WebSocket server"
# Why missed frames are not sent: a code for programs, and a text.
_NOT_STORED = ("too_old", "Missed frames are no longer stored, or too many")
_TOO_MUCH = ("too_much", "This address was sent too many missed frames in a minute")
CLOSE_SECONDS = 1.0
STALLED_SECONDS = 5.0


class Session:
    """One socket from greeting to close."""

    def __init__(
        self,
        socket: WebSocket[Any, Any, Any],
        hub: Hub,
        database: Database,
        budget: AddressBudget,
        settings: Settings,
    ) -> None:
        self._socket = socket
        self._hub = hub
        self._database = database
        self._budget = budget
        self._max_subscriptions = settings.ws_subscriptions
        self._max_messages = settings.ws_messages_per_minute
        self._subscriber = Subscriber(settings.ws_queue_bytes)
        self._rate_limit = RateLimit(self._max_messages)

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
                return protocol.CLOSE_POLICY, f"More than {self._max_messages} messages a minute"
            if not self._budget.messages.take(1):
                return protocol.CLOSE_POLICY, protocol.BUSY_ADDRESS_REASON
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
                await self._unsubscribe(channel)
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
        if (
            channel not in subscriber.channels
            and len(subscriber.channels) >= self._max_subscriptions
        ):
            raise ApiError(
                400,
                f"A socket may have at most {self._max_subscriptions} subscriptions;"
                " unsubscribe first",
            )
        replay = await self._hub.subscribe(subscriber, channel, since)
        try:
            await self._acknowledge("Subscribed to", channel, replay.head)
            missing = (
                await self._send_missed(channel, since, replay.head)
                if replay.is_complete
                else _NOT_STORED
            )
        except BaseException:
            self._hub.unsubscribe(subscriber, channel)
            raise
        if missing is not None:
            reason, message = missing
            data = {"reason": reason, "message": f"{message}; read the market again"}
            subscriber.push(protocol.reply("reset", data, channel=channel, seq=replay.head))
        subscriber.resume(channel, replay.head)

    async def _send_missed(
        self, channel: str, since: int | None, head: int
    ) -> tuple[str, str] | None:
        """Send the frames from ``since`` to ``head``, as fast as the client takes them.

        Returns:
            Why some of them are not sent; None where all are.
        """
        position = head if since is None else since
        while position < head and not self._subscriber.overflowed.is_set():
            if self._budget.replayed_bytes.is_empty():
                return _TOO_MUCH
            frames = await self._hub.missed(channel, position, head)
            if frames is None:
                return _NOT_STORED
            for frame in frames:
                self._budget.replayed_bytes.spend(len(frame.message))
                self._subscriber.push(frame.message)
            position = frames[-1].position
            await self._subscriber.drained()
        return None

    async def _unsubscribe(self, channel: str) -> None:
        self._hub.unsubscribe(self._subscriber, channel)
        await self._acknowledge("Unsubscribed from", channel)

    async def _acknowledge(self, verb: str, channel: str, head: int | UnsetType = UNSET) -> None:
        """Confirm a command, with the market's current prices.

        Older clients read every ``market_state`` as prices: without them they would show zeros.
        The prices are read after the position ``head``, so that they are never older than it.
        """
        data = await self._prices(channel) | {
            "message": f"{verb} market {channel.removeprefix('market:')}",
            "subscriptions": [name.removeprefix("market:") for name in self._subscriber.channels],
        }
        self._subscriber.push(protocol.reply("market_state", data, channel=channel, seq=head))

    async def _prices(self, channel: str) -> dict[str, Any]:
        """Return the prices of the channel's market; empty where none is on chain."""
        market_id = protocol.channel_market(channel)
        if market_id is UNSET:
            return {}
        key = bytes.fromhex(str(market_id))
        row = await self._database.read(lambda conn: markets.get(conn, key))
        return {} if row is None else msgspec.to_builtins(displayed_prices(row))
