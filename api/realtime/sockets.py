"""Accepts the sockets of one process and serves each of them."""

from __future__ import annotations

from typing import Any

from litestar import WebSocket

from api.database import Database
from api.realtime.connection_policy import ConnectionPolicy
from api.realtime.hub import Hub
from api.realtime.session import Session
from api.realtime.session_watch import SessionWatch
from zmart_pipelines.settings import Settings


class Sockets:
    """Serves sockets with what they share."""

    def __init__(
        self,
        hub: Hub,
        database: Database,
        policy: ConnectionPolicy,
        session_watch: SessionWatch,
        settings: Settings,
    ) -> None:
        self._hub = hub
        self._database = database
        self._policy = policy
        self._session_watch = session_watch
        self._settings = settings

    async def serve(
        self, socket: WebSocket[Any, Any, Any], first_command: bytes | None = None
    ) -> None:
        """Serve one socket until it is closed.

        Args:
            socket: Not accepted yet.
            first_command: Is executed as if the client had sent it.
        """
        async with self._policy.admitted(socket) as rejection:
            # Accept before closing, so that a browser can read the close code.
            await socket.accept()
            if rejection is not None:
                await socket.close(*rejection)
                return
            budget = self._policy.budget(socket)
            session = Session(
                socket, self._hub, self._database, budget, self._session_watch, self._settings
            )
            await session.run(first_command)
