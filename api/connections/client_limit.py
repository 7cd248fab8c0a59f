"""Concurrent requests per client behind a trusted proxy.

The connections of a proxy belong to many clients, so that they cannot be limited per address;
their requests can.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from api.connections.client_address import client_key
from api.connections.guarded_protocols import refuse


class ClientLimit:
    """An ASGI app that refuses a client with too many requests in progress."""

    def __init__(self, app: Any, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 503 above the limit. WebSockets have a limit of their own."""
        if scope["type"] != "http" or not scope["client"]:
            await self._app(scope, receive, send)
            return
        client = client_key(scope)
        if self._running[client] >= self._limit:
            await refuse(scope, receive, send)
            return
        self._running[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]
