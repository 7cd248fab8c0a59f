"""The API's process: one app on two ports, stopped within ten seconds."""

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


class AnyPath:
    """Sockets may connect to any path of the WebSocket port, as its older clients do."""

    def __init__(self, app: Litestar, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI call."""
        if scope["type"] == "websocket" and (scope["server"] or ("", 0))[1] == self._port:
            scope = {**scope, "path": "/ws", "raw_path": b"/ws"}
        await self._app(scope, receive, send)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; SystemExit naming the port and the remedy when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A client that neither reads nor answers is dropped by the kernel after this.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PING_SECONDS * 1000))
    try:
        made.bind((host, port))
        made.listen(2048)
    except OSError as error:
        made.close()
        raise SystemExit(
            f"The API cannot listen on {host}:{port} ({error.strerror}); "
            "stop what uses the port, or set API_PORT and WS_PORT"
        ) from None
    made.setblocking(False)
    return made


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    sockets = [listen(settings.api_host, port) for port in (settings.api_port, settings.ws_port)]
    app = AnyPath(create_app(settings), settings.ws_port)
    # What is here now stays. A full collection that walks through it stops every answer for
    # a tenth of a second; frozen it is left out of them.
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
    # Once stopped, uvicorn raises the signal that stopped it again.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=sockets)
    if not server.started:
        sys.exit(1)
