"""Run a process of the API: one app on two ports, stopped within ten seconds.

Several processes may listen on the same ports; the kernel divides the connections among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import Container
from typing import Any, cast

import uvicorn
from litestar import Litestar
from prometheus_client import REGISTRY
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.app import create_app
from api.connections.connection_guard import ConnectionGuard, Limits
from api.connections.file_limit import allowed_connections
from api.connections.guarded_protocols import GuardedConfig
from api.realtime.turns import Turns
from api.routes.live_updates import has_channel
from api.saturation import Saturation
from zmart_pipelines.metrics.listener import serve_metrics
from zmart_pipelines.settings import Settings

GRACEFUL_SECONDS = 7
# Seconds for which idle connections are kept at the end, so that a client that is about to send
# its next request gets an answer, which announces the end.
DRAIN_SECONDS = 1.0
DRAIN_STEPS = 20
PING_SECONDS = 30.0
MAX_MESSAGE = 16 * 1024
# Bytes of a connection that the kernel takes before they can be sent.
MAX_UNSENT = 64 * 1024


class AnySocketPath:
    """Accept WebSockets on any path of the WebSocket port, as older clients connect."""

    def __init__(self, app: Litestar, port: int) -> None:
        self._app = app
        self._port = port
        # Of clients that come back together, as after a restart.
        self._handshakes = Turns()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Route a WebSocket of the WebSocket port to ``/ws``, unless its path names a channel."""
        is_socket = scope["type"] == "websocket" and (scope["server"] or ("", 0))[1] == self._port
        if is_socket and not has_channel(scope["path"]):
            scope = {**scope, "path": "/ws", "raw_path": b"/ws"}
        if scope["type"] == "websocket":
            # So that requests are answered between a thousand sockets.
            await self._handshakes.give_way()
        await self._app(scope, receive, send)


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Return a listening socket.

    Args:
        host: Address to listen on.
        port: Its port.
        is_shared: Whether other processes of the same user may listen there too.

    Raises:
        SystemExit: The port is in use; the message names it and the remedy.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The kernel drops a client that neither reads nor acknowledges for this long.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PING_SECONDS * 1000))
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Otherwise the kernel takes megabytes for a client that reads nothing, which then is not
        # seen to stall.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)
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


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which also enforces deadlines and announces the end of connections."""

    def __init__(self, config: GuardedConfig) -> None:
        super().__init__(config)
        self._guard = config.guard
        self._draining = config.draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and look at the connections' deadlines each second."""
        await super().startup(sockets)
        self._expiry = asyncio.create_task(self._expire())

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._guard.expire()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what arrives on open connections for a moment, then stop as uvicorn does."""
        self._guard.is_draining = True
        self._draining.begin()
        for server in self.servers:
            server.close()
        for _ in range(DRAIN_STEPS):
            if not self._guard.has_idle:
                break
            await asyncio.sleep(DRAIN_SECONDS / DRAIN_STEPS)
        await super().shutdown(sockets)
        self._expiry.cancel()


def trusted_proxies(settings: Settings) -> Container[str]:
    """Return the addresses whose X-Forwarded-For is trusted."""
    # The same class decides in uvicorn whose header is read; here it only parses the networks.
    middleware = ProxyHeadersMiddleware(cast(Any, None), list(settings.proxy_networks))
    return cast(Container[str], middleware.trusted_hosts)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    connections = allowed_connections(settings)
    sockets = [
        listen(settings.api_host, port, is_shared=settings.api_processes > 1)
        for port in (settings.api_port, settings.ws_port)
    ]
    REGISTRY.register(Saturation())
    serve_metrics(settings, offset=settings.api_process, registry=REGISTRY)
    app = AnySocketPath(create_app(settings), settings.ws_port)
    guard = ConnectionGuard(Limits.of(settings, connections), trusted_proxies(settings))
    # Everything allocated so far stays. A full collection that traverses it would pause every
    # response for a tenth of a second; frozen objects are skipped.
    gc.collect()
    gc.freeze()
    config = GuardedConfig(
        app,
        guard,
        timeout_keep_alive=settings.api_keep_alive_seconds,
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.proxy_networks),
        server_header=False,
        access_log=False,
        # They are logged as everything else is (zmart_pipelines.structured_logs).
        log_config=None,
    )
    server = DrainingServer(config)
    # After its shutdown uvicorn raises the signal again.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=sockets)
    if not server.started:
        sys.exit(1)
