"""uvicorn's protocols for HTTP and WebSocket, under the limits of the connection guard.

uvicorn itself limits neither the number of connections nor the time that a client takes for the
head or the body of a request, for reading a response or for a handshake.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from api.connections import socket_frames, whole_responses
from api.connections.connection_guard import CLOSING_SECONDS, ConnectionGuard, Phase, Place
from api.connections.draining import Draining
from api.connections.waiting import Gate, Received
from api.error_codes import ErrorCode
from api.errors import RETRY_SECONDS
from api.middleware import request_ids
from api.middleware.error_response import error_response
from api.middleware.fixed_headers import server_error_headers
from api.realtime import protocol

MAX_HEAD_BYTES: Final = 64 * 1024
# The announced time is shorter than the real one, so that a client that keeps to it never sends a
# request on a connection that is being closed.
KEEP_ALIVE_MARGIN_SECONDS: Final = 10
# Served when every place is busy: the checks of operators, and events of the chain.
ESSENTIAL_PATHS: Final = ("/health", "/api/health", "/api/webhooks/")
MAX_PINGS_PER_MINUTE: Final = 120
MAX_FRAGMENTS: Final = 1000
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class GuardedConfig(uvicorn.Config):
    """uvicorn's configuration with the guard that the protocols share."""

    def __init__(self, app: Any, guard: ConnectionGuard, **options: Any) -> None:
        """Use the guarded protocols for both ports."""
        super().__init__(app, http=GuardedHttp, ws=GuardedWebSocket, **options)
        self.guard = guard
        self.draining = Draining()
        announced = max(1, self.timeout_keep_alive - KEEP_ALIVE_MARGIN_SECONDS)
        self.keep_alive_header = (b"keep-alive", b"timeout=%d" % announced)


class GuardedHttp(HttpToolsProtocol):
    """One HTTP connection."""

    config: GuardedConfig
    _place: Place | None = None
    _head_bytes = 0
    _is_message_complete = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, or refuse the connection."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._guard = self.config.guard
        self._place = self._guard.admit(self, self.client[0] if self.client else "unknown")
        if self._place is None:
            self._end(503, "Too many connections; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        if self._place is not None:
            self._guard.release(self._place)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Limit the head's size; data after an idle time begins the next request's head."""
        place = self._place
        if place is None or place.phase is Phase.CLOSING:
            return
        if place.phase is Phase.IDLE:
            self._guard.enter(place, Phase.HEAD)
            self._head_bytes = 0
        self._head_bytes += len(data)
        super().data_received(data)
        if place.phase is Phase.HEAD and self._head_bytes > MAX_HEAD_BYTES:
            self._end(431, f"The head of a request may have at most {MAX_HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """Let the request in; announce how long the connection is kept, or that it ends."""
        place = cast(Place, self._place)
        self._guard.enter(place, Phase.BODY)
        self._is_message_complete = False
        self.app = self.config.loaded_app
        if place.is_extra and not _is_essential(self.url):
            self.app = refuse
        previous = self.cycle
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is None or cycle is previous:  # an upgrade
            return
        if place.is_extra or self._guard.ends_connections:
            cycle.keep_alive = False
        if cycle.keep_alive:
            cycle.default_headers = [*cycle.default_headers, self.config.keep_alive_header]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        whole_responses.offer(cycle)
        self.config.draining.offer(cycle.scope)
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Extend the deadline of the body by what arrived."""
        self._guard.received_body(cast(Place, self._place), len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Leave the rest of the time to the app."""
        self._is_message_complete = True
        is_answered = self.cycle is not None and self.cycle.response_complete
        self._guard.enter(cast(Place, self._place), Phase.IDLE if is_answered else Phase.RESPONSE)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request; a body that is still arriving keeps its deadline."""
        place = cast(Place, self._place)
        if self._is_message_complete and place.phase is Phase.RESPONSE and not self.pipeline:
            self._guard.enter(place, Phase.IDLE)
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the place over to the WebSocket, or refuse where sockets have taken their part."""
        if not self._guard.can_open_socket(cast(Place, self._place)):
            self._end(503, "Too many sockets; try again later")
            return
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """End the connection after the response that is being made."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.default_headers = self.server_state.default_headers
        super().shutdown()

    def pause_writing(self) -> None:
        """Start the deadline of a client that does not read."""
        super().pause_writing()
        if self._place is not None:
            self._guard.stalls(self._place)

    def resume_writing(self) -> None:
        """Stop that deadline."""
        super().resume_writing()
        if self._place is not None:
            self._place.stalled_until = None

    def expire(self, phase: Phase) -> None:
        """End a connection whose client is too slow."""
        if phase is Phase.CLOSING:
            self.abort()
        elif phase is Phase.BODY and self.flow.read_paused:
            self._guard.postpone(cast(Place, self._place))
        elif phase is Phase.IDLE or (phase is Phase.HEAD and self._head_bytes == 0):
            self._close()
        else:
            self._end(408, "The request did not arrive in time")

    def expire_stalled(self) -> None:
        """Drop a client that does not read its response."""
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        _reset(self.transport)

    def _end(self, status: int, message: str) -> None:
        """Send an error unless the current request has a response, and close."""
        is_between = self._place is None or self._place.phase is Phase.HEAD
        if is_between or self.cycle is None or not self.cycle.response_started:
            path = bytes(getattr(self, "url", b"") or b"/").decode("latin-1")
            request_id = request_ids.choose_id(_offered(self.headers or ()))
            self.transport.write(_response(status, message, path.partition("?")[0], request_id))
        self._close()

    def _close(self) -> None:
        if self._place is not None:
            self._guard.enter(self._place, Phase.CLOSING)
        self.transport.close()


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket, on the place of the HTTP connection that it was."""

    config: GuardedConfig
    _place: Place | None = None
    _pings = 0
    _pings_since = float("-inf")
    _resume: Callable[[], None] | None = None
    _must_read_first = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Wait for messages, and for a client that reads, in little memory."""
        super().__init__(*arguments, **options)
        self.queue = cast(Any, Received())
        writable = Gate()
        writable.set()
        self.writable = cast(Any, writable)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the place."""
        super().connection_made(transport)
        self._guard = self.config.guard
        http = cast(asyncio.Transport, transport).get_protocol()
        self._place = cast(GuardedHttp, http)._place
        if self._place is not None:
            self._place.connection = self
            self._guard.enter(self._place, Phase.SOCKET)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        if self._place is not None:
            self._guard.release(self._place)
        super().connection_lost(exc)
        self._let_app_go_on()

    def handle_connect(self, event: Request) -> None:
        """Offer the app to write frames itself; they are not compressed."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: Any = self.scope["extensions"]
            extensions[socket_frames.EXTENSION] = self

    def write(self, frame: bytes) -> bool:
        """Send a frame unless the client has to read first; drop it where the socket is closing."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return True
        if self._must_read_first:
            return False
        self.transport.write(frame)
        return True

    def when_writable(self, resume: Callable[[], None] | None) -> None:
        """Call ``resume`` each time that the client has read enough to be sent more."""
        self._resume = resume

    def end(self, code: int, reason: str) -> None:
        """Close the socket behind what was sent; the client has a little time to answer."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self._send_close(code, reason)
        self.read_paused = False
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSING_SECONDS, self.transport.close)
        if self._place is not None:
            self._guard.enter(self._place, Phase.CLOSING)

    def shutdown(self) -> None:
        """Tell the client to come back when the process stops."""
        if self.close_sent or self.disconnected or not self.handshake_complete:
            super().shutdown()
            return
        self._end(protocol.CLOSE_RESTART, protocol.RESTART_REASON)

    def handle_ping(self) -> None:
        """Answer a ping, within a limit: pings never reach the app, which limits messages."""
        now = self.loop.time()
        if now - self._pings_since > 60:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._pings > MAX_PINGS_PER_MINUTE:
            reason = f"More than {MAX_PINGS_PER_MINUTE} pings a minute"
            self._end(protocol.CLOSE_POLICY, reason)
            return
        super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        """Limit the fragments of a message; their size is limited, but they may be empty."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._end(protocol.CLOSE_POLICY, f"More than {MAX_FRAGMENTS} fragments")
            return
        super().handle_cont(event)

    def pause_writing(self) -> None:
        """Start the deadline of a client that does not read."""
        super().pause_writing()
        self._must_read_first = True
        if self._place is not None and self._place.phase is Phase.SOCKET:
            self._guard.stalls(self._place)

    def resume_writing(self) -> None:
        """Stop that deadline, and let the app go on."""
        super().resume_writing()
        self._must_read_first = False
        if self._place is not None:
            self._place.stalled_until = None
        self._let_app_go_on()

    def _let_app_go_on(self) -> None:
        """Take what the app has queued; a socket that is being closed drops it."""
        if self._resume is not None:
            self._resume()

    def expire(self, phase: Phase) -> None:
        """End a handshake that takes too long, or a client that does not take the close frame."""
        if phase is Phase.CLOSING:
            self.abort()
        elif not self.handshake_complete:
            self._close()

    def expire_stalled(self) -> None:
        """Close a socket whose client does not read, with what it should do."""
        self._end(protocol.CLOSE_SLOW, protocol.SLOW_REASON)

    def abort(self) -> None:
        """Drop the connection at once."""
        _reset(self.transport)

    def _end(self, code: int, reason: str) -> None:
        """Send a close frame behind what the client has not read, and close the connection."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            self.abort()
            return
        self._send_close(code, reason)
        self._close()

    def _send_close(self, code: int, reason: str) -> None:
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.disconnected = True  # whatever the app sends from now on raises ClientDisconnected
        self.writable.set()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._let_app_go_on()

    def _close(self) -> None:
        if self._place is not None:
            self._guard.enter(self._place, Phase.CLOSING)
        self.transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """Reset the connection, so that the kernel does not keep what the client leaves unread."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _is_essential(url: bytes) -> bool:
    path = httptools.parse_url(url).path.decode("latin-1")
    return path.startswith(ESSENTIAL_PATHS)


def _error(
    status: int, message: str, path: str, request_id: bytes
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of an error of the server."""
    code = ErrorCode.TOO_MANY_CONNECTIONS if status == 503 else None
    headers, body = error_response(
        status, message, path, code=code, request_id=request_id.decode("ascii")
    )
    if status == 503:
        headers.append((b"retry-after", b"%d" % RETRY_SECONDS))
    return headers, body


def _response(status: int, message: str, path: str, request_id: bytes) -> bytes:
    """Return a whole response that ends its connection."""
    headers, body = _error(status, message, path, request_id)
    headers += server_error_headers(request_id)
    head = b"".join(b"%s: %s\r\n" % item for item in headers)
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return b"%s%sconnection: close\r\n\r\n%s" % (line, head, body)


async def refuse(scope: Any, _receive: Any, send: Any) -> None:
    """Answer 503: there are too many connections, or too many requests of this client."""
    known = request_ids.request_id(scope)
    request_id = known.encode() if known else request_ids.choose_id(_offered(scope["headers"]))
    headers, body = _error(
        503, "Too many connections or requests; try again later", scope["path"], request_id
    )
    if known is None:  # outside the layer that adds them
        headers += server_error_headers(request_id)
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _offered(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the request id that the client offers, if any."""
    return next((value for name, value in headers if name == request_ids.HEADER), None)
