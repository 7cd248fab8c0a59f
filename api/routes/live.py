"""The WebSocket endpoint."""

from __future__ import annotations

from typing import Any

from litestar import WebSocket, websocket

from api.dependencies import ConnectionPolicyDep, DatabaseDep, HubDep
from api.realtime.socket import Session


@websocket(["/", "/ws"])
async def live(
    socket: WebSocket[Any, Any, Any], hub: HubDep, database: DatabaseDep, door: ConnectionPolicyDep
) -> None:
    """Live updates of markets; the protocol is in docs/api.md."""
    refusal = door.refusal(socket)
    # Accepted first, so that a browser can read why it was refused.
    await socket.accept()
    if refusal is not None:
        await socket.close(*refusal)
        return
    with door.entered(socket):
        await Session(socket, hub, database).run()
