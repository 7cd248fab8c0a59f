"""Which WebSocket connections are accepted: allowed origins, and a limit per address."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from litestar import WebSocket

from api.connections.client_address import client_key
from api.realtime import protocol
from api.realtime.address_budget import AddressBudget, AddressBudgets
from zmart_pipelines.settings import Settings


class ConnectionPolicy:
    """Accepts allowed origins and a limited number of sockets per address."""

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
        self._open: Counter[str] = Counter()

    def budget(self, socket: WebSocket[Any, Any, Any]) -> AddressBudget:
        """Return what the socket's address may still cause."""
        return self._budgets.of(_address(socket))

    def rejection(self, socket: WebSocket[Any, Any, Any]) -> tuple[int, str] | None:
        """Return the close code and reason for a socket that is rejected; None accepts it.

        Clients other than browsers send no Origin.
        """
        origin = socket.headers.get("origin")
        if origin is not None and origin not in self._origins:
            return protocol.CLOSE_POLICY, "Origin not allowed"
        if self._open[_address(socket)] >= self._limit:
            return (
                protocol.CLOSE_TOO_MANY,
                f"Too many sockets from this address (limit {self._limit})",
            )
        if not self.budget(socket).messages.take(1):
            return protocol.CLOSE_POLICY, protocol.BUSY_ADDRESS_REASON
        return None

    @contextlib.contextmanager
    def counted(self, socket: WebSocket[Any, Any, Any]) -> Iterator[None]:
        """Count the socket as open while the block runs."""
        address = _address(socket)
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


def _address(socket: WebSocket[Any, Any, Any]) -> str:
    return client_key(socket.scope)
