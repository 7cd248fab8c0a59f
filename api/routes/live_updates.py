"""The WebSocket endpoints."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from litestar import WebSocket, websocket

from api.dependencies import MarketPath, SocketsDep, WalletPath

_CHANNEL_PATHS: Final = re.compile(r"/markets/[^/]+(/voting)?/?|/users/[^/]+/positions/?|/alerts/?")


def has_channel(path: str) -> bool:
    """Return whether sockets on ``path`` are subscribed to a channel from the beginning."""
    return _CHANNEL_PATHS.fullmatch(path) is not None


@websocket(["/", "/ws"])
async def live_updates(socket: WebSocket[Any, Any, Any], sockets: SocketsDep) -> None:
    """Send live updates of the channels that the client subscribes to."""
    await sockets.serve(socket)


@websocket("/markets/{market:str}")
async def market_updates(
    socket: WebSocket[Any, Any, Any], sockets: SocketsDep, market: MarketPath
) -> None:
    """Send everything of a market."""
    await sockets.serve(socket, _subscription(socket, f"market:{market}"))


@websocket("/markets/{market:str}/voting")
async def vote_updates(
    socket: WebSocket[Any, Any, Any], sockets: SocketsDep, market: MarketPath
) -> None:
    """Send the votes of a market."""
    await sockets.serve(socket, _subscription(socket, f"market:{market}:votes"))


@websocket("/users/{wallet:str}/positions")
async def wallet_updates(
    socket: WebSocket[Any, Any, Any], sockets: SocketsDep, wallet: WalletPath
) -> None:
    """Send what belongs to a wallet."""
    await sockets.serve(socket, _subscription(socket, f"wallet:{wallet}"))


@websocket("/alerts")
async def alert_updates(socket: WebSocket[Any, Any, Any], sockets: SocketsDep) -> None:
    """Send alerts."""
    await sockets.serve(socket, _subscription(socket, "alerts"))


def _subscription(socket: WebSocket[Any, Any, Any], channel: str) -> bytes:
    """Return the command with which a client would subscribe; ``since`` is that of the query."""
    command: dict[str, Any] = {"action": "subscribe", "channel": channel}
    since = socket.query_params.get("since")
    if since is not None:
        command["since"] = int(since) if since.isascii() and since.isdigit() else since
    return msgspec.json.encode(command)


HANDLERS = [live_updates, market_updates, vote_updates, wallet_updates, alert_updates]
