"""Which WebSocket connections are accepted: allowed origins, and a limit per address."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from litestar.connection import ASGIConnection

from api.connections.client_address import client_key
from api.realtime import protocol
from api.realtime.address_budget import AddressBudget, AddressBudgets
from api.realtime.socket_counts import SocketCounts
from zmart_pipelines.settings import Settings

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]


class ConnectionPolicy:
    """Accepts allowed origins and a limited number of sockets per address.

    Run with ``async with connection_policy.running()``.
    """

    def __init__(self, settings: Settings) -> None:
        ports = (settings.api_port, settings.ws_port)
        self._origins = set(settings.origins) | {
            f"http://{host}:{port}"
            for host in {settings.api_host, "localhost", "127.0.0.1"}
            for port in ports
        }
        self._limit = settings.ws_connections_per_ip
        self._budgets = AddressBudgets(
            messages=settings.ws_messages_per_minute * settings.ws_connections_per_ip,
            replayed_bytes=settings.ws_replay_bytes_per_minute,
        )
        self._counts = SocketCounts(settings)
        self.running = self._counts.running

    def budget(self, socket: Connection) -> AddressBudget:
        """Return what the socket's address may still cause."""
        return self._budgets.of(_address(socket))

    @contextlib.asynccontextmanager
    async def admitted(self, socket: Connection) -> AsyncIterator[tuple[int, str] | None]:
        """Count the socket as open while the block runs.

        Yields:
            The close code and reason for a socket that is rejected, which is not counted; None
            accepts it.
        """
        rejection = self._rejection(socket)
        if rejection is not None:
            yield rejection
            return
        address = _address(socket)
        if not await self._counts.take(address):
            yield (
                protocol.CLOSE_TOO_MANY,
                f"Too many sockets from this address (limit {self._limit})",
            )
            return
        try:
            yield None
        finally:
            self._counts.release(address)

    def _rejection(self, socket: Connection) -> tuple[int, str] | None:
        """Return why the socket is rejected, however many there are.

        Clients other than browsers send no Origin.
        """
        origin = socket.headers.get("origin")
        if origin is not None and origin not in self._origins:
            return protocol.CLOSE_POLICY, "Origin not allowed"
        if not self.budget(socket).messages.take(1):
            return protocol.CLOSE_TOO_MANY, protocol.BUSY_ADDRESS_REASON
        return None


def _address(socket: Connection) -> str:
    return client_key(socket.scope)
