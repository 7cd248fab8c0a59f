"""The server: one ASGI app for HTTP and WebSocket on two ports, and the loop that closes slots."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import uvicorn
import uvloop
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from localnet import control_api, http_server
from localnet.node import Node
from localnet.options import Options
from localnet.webhook import Webhooks
from localnet.websocket import Subscriptions

_BACKLOG = 1024


class PortTaken(RuntimeError):
    """One of the two ports is in use."""


class App:
    """The ASGI application in front of a node."""

    def __init__(
        self, node: Node, subscriptions: Subscriptions, control: control_api.Control
    ) -> None:
        self._node = node
        self._subscriptions = subscriptions
        self._control = control

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Respond to a request or serve a WebSocket."""
        if scope["type"] == "websocket":
            await self._subscriptions.serve(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/control"):
            await self._control_call(scope, receive, send)
        elif scope["type"] == "http":
            await http_server.serve(self._node, scope["method"], scope["path"], receive, send)

    async def _control_call(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        content = await http_server.body(receive) or b""
        status, body = await self._control.handle(scope, scope["method"], scope["path"], content)
        await http_server.respond(send, status, body, [(b"content-type", b"application/json")])


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers; ``_serve`` handles signals for both ports."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield


def bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return sockets on a port and the one above it; port 0 chooses any free pair."""
    for _ in range(50):
        first = _listen(host, port)
        number = first.getsockname()[1]
        try:
            return first, _listen(host, number + 1)
        except (PortTaken, OverflowError):
            first.close()
            if port:
                raise
    raise PortTaken("found no two consecutive free ports; choose a pair with --port")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(
            f"port {port} on {host} is in use; stop the process that listens there or choose "
            "another pair with --port (the port above it serves WebSockets)"
        ) from error
    listener.listen(_BACKLOG)
    return listener


async def _tick(node: Node) -> None:
    """Close a slot every ``slot_ms`` milliseconds; a late one does not shorten the next."""
    pause = node.options.slot_ms / 1000
    while True:
        await asyncio.sleep(pause)
        if not node.paused:
            node.tick()


async def _serve(node: Node, sockets: tuple[socket.socket, socket.socket]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    subscriptions = Subscriptions(node)
    node.listeners.append(subscriptions)
    options = node.options
    webhooks = None
    if options.webhook_url is not None:
        webhooks = Webhooks(node, options.webhook_url, options.webhook_secret)
        node.listeners.append(webhooks)
    app = App(node, subscriptions, control_api.Control(node))
    servers = [
        _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                log_config=None,
                ws="websockets-sansio",
                ws_max_size=1 << 20,
                timeout_graceful_shutdown=2,
                backlog=_BACKLOG,
            )
        )
        for _ in sockets
    ]
    serving = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, sockets, strict=True)
    ]
    host, port = sockets[0].getsockname()[:2]
    sys.stdout.write(f"ready http://{host}:{port}\n")
    sys.stdout.flush()
    ticking = None if options.manual_clock else asyncio.create_task(_tick(node))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait(
        [stopping, *serving, *([ticking] if ticking else [])],
        return_when=asyncio.FIRST_COMPLETED,
    )
    failed = ticking is not None and ticking.done()
    for task in (ticking, stopping):
        if task is not None:
            task.cancel()
    await subscriptions.close()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving)
    if webhooks is not None:
        await webhooks.close()
    if failed and ticking is not None:
        ticking.result()


def run(options: Options) -> None:
    """Serve a chain until SIGINT or SIGTERM."""
    sockets = bind(options.host, options.port)
    node = Node(options)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(node, sockets))
    finally:
        node.close()
