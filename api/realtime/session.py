"""One WebSocket connection: greets, executes commands, sends what the hub delivers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from api.connections import socket_frames
from api.database import Database
from api.realtime import protocol
from api.realtime.address_budget import AddressBudget
from api.realtime.client_count import counted
from api.realtime.commands import Commands
from api.realtime.feed import Feed
from api.realtime.hub import Hub
from api.realtime.identity import TooManyRefused
from api.realtime.rate_limit import RateLimit
from api.realtime.session_watch import SessionWatch
from api.realtime.subscriber import Subscriber
from zmart_pipelines.settings import Settings

GREETING = "Connected to ZMART WebSocket server"
CLOSE_SECONDS = 1.0


class Session:
    """One socket from greeting to close."""

    def __init__(
        self,
        socket: WebSocket[Any, Any, Any],
        hub: Hub,
        database: Database,
        budget: AddressBudget,
        session_watch: SessionWatch,
        settings: Settings,
    ) -> None:
        self._socket = socket
        self._hub = hub
        self._budget = budget
        self._max_messages = settings.ws_messages_per_minute
        self._frames = socket_frames.writer(socket.scope)
        self._subscriber = Subscriber(settings.ws_queue_bytes, self._frames)
        feed = Feed(hub, self._subscriber, budget)
        self._commands = Commands(
            self._subscriber, feed, database, session_watch, settings.ws_subscriptions
        )
        self._rate_limit = RateLimit(self._max_messages)

    async def run(self, first_command: bytes | None = None) -> None:
        """Serve the socket until either side closes it.

        Args:
            first_command: Is executed as if the client had sent it.
        """
        self._subscriber.push(
            protocol.reply("welcome", protocol.Welcome(str(uuid.uuid4()), GREETING))
        )
        try:
            with (
                counted("websocket", self._subscriber),
                self._hub.heartbeats.joined(self._subscriber),
            ):
                async with self._sending():
                    code, reason = await self._receive(first_command)
            await self._close(code, reason)
        except WebSocketDisconnect:
            pass  # also where the server closed the socket because its client does not read
        finally:
            self._commands.close()
            self._hub.unsubscribe_all(self._subscriber)

    @contextlib.asynccontextmanager
    async def _sending(self) -> AsyncIterator[None]:
        """Send what is pushed: through the server's writer, or in a task where it has none."""
        if self._frames is not None:
            self._frames.when_writable(self._subscriber.flush)
            try:
                yield
            finally:
                self._frames.when_writable(None)
            return
        sending = asyncio.create_task(self._send())
        try:
            yield
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _send(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while (message := await self._subscriber.next()) is not None:
                await self._socket.send_data(message.text)
            await self._close(protocol.CLOSE_SLOW, protocol.SLOW_REASON)

    async def _receive(self, first_command: bytes | None) -> tuple[int, str]:
        if first_command is not None:
            await self._commands.begin(first_command)
        while True:
            text = await self._socket.receive_data("text")
            if not self._rate_limit.allow():
                return protocol.CLOSE_POLICY, f"More than {self._max_messages} messages a minute"
            if not self._budget.messages.take(1):
                return protocol.CLOSE_TOO_MANY, protocol.BUSY_ADDRESS_REASON
            try:
                await self._commands.execute(text)
            except TooManyRefused:
                return protocol.CLOSE_AUTHENTICATION, protocol.AUTHENTICATION_REASON

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code, reason)
