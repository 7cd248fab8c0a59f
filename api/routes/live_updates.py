"""The WebSocket endpoint."""

from __future__ import annotations

from typing import Any

from litestar import WebSocket, websocket

from api.dependencies import ConnectionPolicyDep, DatabaseDep, HubDep, SettingsDep
from api.realtime.session import Session


@websocket(["/", "/ws"])
async def live_updates(
    socket: WebSocket[Any, Any, Any],
    hub: HubDep,
    database: DatabaseDep,
    connection_policy: ConnectionPolicyDep,
    settings: SettingsDep,
) -> None:
    """Send live updates of markets; docs/api.md describes the protocol."""
    rejection = connection_policy.rejection(socket)
    # Accept before closing, so that a browser can read the close code.
    await socket.accept()
    if rejection is not None:
        await socket.close(*rejection)
        return
    with connection_policy.counted(socket):
        budget = connection_policy.budget(socket)
        await Session(socket, hub, database, budget, settings).run()
