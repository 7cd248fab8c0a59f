"""Run the API's process: one app on two ports, stopped within ten seconds."""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
from typing import Any

import uvicorn
from litestar import Litestar

from api.app import create_app
from zmart_pipelines.settings import Settings

GRACEFUL_SECONDS = 8
PING_SECONDS = 30.0
MAX_MESSAGE = 16 * 1024


class AnySocketPath:
    """Accept WebSockets on any path of the WebSocket port, as older clients connect."""

    def __init__(self, app: Litestar, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Route a WebSocket of the WebSocket port to ``/ws``."""
        if scope["type"] == "websocket" and (scope["server"] or ("", 0))[1] == self._port:
            scope = {**scope, "path": "/ws", "raw_path": b"/ws"}
        await self._app(scope, receive, send)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise SystemExit naming port and remedy where it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The kernel drops a client that neither reads nor acknowledges for this long.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PING_SECONDS * 1000))
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SystemExit(
            f"The API cannot listen on {host}:{port} ({error.strerror}); "
            "stop the process that uses the port, or set API_PORT and WS_PORT"
        ) from None
    listener.setblocking(False)
    return listener


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    sockets = [listen(settings.api_host, port) for port in (settings.api_port, settings.ws_port)]
    app = AnySocketPath(create_app(settings), settings.ws_port)
    # Everything allocated so far stays. A full collection that traverses it would pause every
    # response for a tenth of a second; frozen objects are skipped.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        server_header=False,
        access_log=False,
        log_level="info",
    )
    server = uvicorn.Server(config)
    # After its shutdown uvicorn raises the signal again.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=sockets)
    if not server.started:
        sys.exit(1)
