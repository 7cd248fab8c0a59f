"""The outermost layer of the app: one pass over each HTTP request and its response.

In this order: request id and trace, CORS preflight, limits, HEAD as GET; then the routes; then
entity tag and 304, compression, and the headers that every response carries. It also covers what
Litestar's middleware does not see: paths without a route and errors before routing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from api.connections import whole_responses
from api.created import location
from api.database import DatabaseBusy
from api.error_codes import ErrorCode
from api.errors import ApiError, unavailable
from api.hot_reads.known_requests import KnownRequest, KnownRequests
from api.metrics import UNMATCHED, RequestMetrics
from api.middleware import entity_tags, request_ids
from api.middleware.action_headers import is_action
from api.middleware.admission import Admission
from api.middleware.allowed_methods import path_shape
from api.middleware.content_coding import MIN_BYTES, CompressedBodies, choose, is_compressible
from api.middleware.cors import Cors, PreflightRefused, is_preflight
from api.middleware.error_response import error_response
from api.middleware.fixed_headers import NO_STORE, HeadersByPath
from api.middleware.freshness import Freshness
from api.middleware.head_lines import head_lines
from api.rate_limit.limit_headers import limit_headers
from api.rate_limit.request_limits import states_of

log = logging.getLogger("api.edge")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
HeaderList: TypeAlias = list[tuple[bytes, bytes]]

# Larger bodies are sent as they come: without entity tag and compression of our own.
MAX_BUFFERED: Final = 8 * 1024 * 1024

# The type of bodies without end, of which each part is sent at once.
EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"

_REVALIDATE: Final = (b"cache-control", b"no-cache")
_VARY_READ: Final = (b"vary", b"Accept-Encoding, Origin")
_VARY_OTHER: Final = (b"vary", b"Origin")
_VARY_PREFLIGHT: Final = (
    b"vary",
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
)
# What a 304 does not repeat, and what is computed here.
_CONTENT: Final = frozenset({b"content-length", b"content-type"})


class Edge:
    """Wraps the app of the routes."""

    def __init__(
        self,
        app: App,
        *,
        cors: Cors,
        action_headers: HeaderList,
        fixed_headers: HeadersByPath,
        admission: Admission,
        freshness: Freshness,
        metrics: RequestMetrics,
        known: KnownRequests,
        allowed: Mapping[str, bytes],
    ) -> None:
        """Wrap ``app``; ``allowed`` has the methods of its paths by their shape."""
        self._app = app
        self.cors = cors
        self.action_headers = action_headers
        self.fixed_headers = fixed_headers
        self.admission = admission
        self.freshness = freshness
        self.metrics = metrics
        self.known = known
        self.allowed = allowed
        self.bodies = CompressedBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request; WebSockets have rules of their own."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, send)
        try:
            await self._serve(exchange, scope, receive)
        finally:
            self.metrics.observe(
                scope.get("path_template", UNMATCHED),
                exchange.method,
                exchange.status,
                time.perf_counter() - exchange.started,
                _announced_size(exchange.headers),
            )

    async def _serve(self, exchange: _Exchange, scope: Scope, receive: Receive) -> None:
        if is_preflight(exchange.method, exchange.headers):
            await exchange.answer_preflight()
            return
        try:
            await self.admission.admit(scope, exchange.headers)
        except ApiError as refusal:
            await exchange.answer_error(refusal)
            return
        if exchange.is_read:
            known = self.known.find(scope)
            if known is not None and await exchange.answer_known(known):
                return
            scope["method"] = "GET"
        await self._app(scope, receive, exchange.send)


class _Exchange:
    """One request, and the ``send`` through which its response goes."""

    __slots__ = (
        "_chunks",
        "_edge",
        "_fixed",
        "_is_action",
        "_path",
        "_scope",
        "_send",
        "_size",
        "_start",
        "_streams",
        "headers",
        "is_read",
        "method",
        "request_id",
        "started",
        "status",
        "trace",
    )

    def __init__(self, edge: Edge, scope: Scope, send: Send) -> None:
        self.started = time.perf_counter()
        self._edge = edge
        self._scope = scope
        self._send = send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self._path: str = scope["path"]
        self._fixed = edge.fixed_headers.of(self._path)
        self._is_action = is_action(self._path)
        self.is_read = self.method in ("GET", "HEAD")
        self.status = 500
        self.request_id = request_ids.choose_id(self.headers.get(request_ids.HEADER))
        self.trace = request_ids.child_trace(self.headers.get(request_ids.TRACE_HEADER))
        request_ids.bind(scope, self.request_id, self.trace)
        self._start: Message | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._streams = False

    async def send(self, message: Message) -> None:
        """Take what the app sends; a response leaves when its body is complete."""
        kind = message["type"]
        if kind == "http.response.start":
            self._start = message
            self.status = message["status"]
            # The server looks there whether a body may be missing.
            self._scope["method"] = self.method
            if _is_event_stream(message):
                await self._begin(message)
        elif kind != "http.response.body" or self._start is None:
            await self._send(message)
        elif self._streams:
            await self._send_part(message)
        elif not message.get("more_body", False):
            body = message.get("body", b"")
            if self._chunks:
                body = b"".join((*self._chunks, body))
            await self._finish(self._start, body)
        else:
            await self._keep(self._start, message)

    async def _keep(self, start: Message, message: Message) -> None:
        """Keep a part of a body; one that becomes too large is sent in parts from here on."""
        self._chunks.append(message["body"])
        self._size += len(message["body"])
        if self._size <= MAX_BUFFERED:
            return
        await self._begin(start)
        body = b"".join(self._chunks)
        self._chunks = []
        await self._send_part({**message, "body": body})

    async def _begin(self, start: Message) -> None:
        """Send the head; the body follows as it comes."""
        self._streams = True
        headers = [*start["headers"], *self._common(start["headers"]), *self._fixed.headers]
        await self._send({**start, "headers": headers})

    async def _send_part(self, message: Message) -> None:
        if self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    async def answer_preflight(self) -> None:
        """Answer a browser that asks whether it may send a request."""
        try:
            headers = [] if self._is_action else self._edge.cors.preflight_headers(self.headers)
        except PreflightRefused as refusal:
            await self.answer_error(ApiError(400, str(refusal), code=ErrorCode.CORS_REFUSED))
            return
        self._start = {"type": "http.response.start", "status": 204, "headers": headers}
        self.status = 204
        await self._finish(self._start, b"", vary=_VARY_PREFLIGHT)

    async def answer_known(self, known: KnownRequest) -> bool:
        """Answer as the handler did before; return False where it cannot.

        What goes wrong is found again, and answered, by the handler.
        """
        try:
            body = await known.read()
        except DatabaseBusy:
            log.warning("database unavailable: DatabaseBusy")
            await self.answer_error(unavailable("The database"))
        except Exception as error:
            log.debug("%s of a known request", type(error).__name__)
            return False
        else:
            self.status = 200
            start = {
                "type": "http.response.start",
                "status": 200,
                "headers": known.headers(body),
            }
            await self._finish(start, body.content)
        self._scope["path_template"] = known.route
        return True

    async def answer_error(self, refusal: ApiError) -> None:
        """Answer without asking the app."""
        headers, body = error_response(
            refusal.status,
            refusal.message,
            self._path,
            code=refusal.code,
            fields=refusal.fields,
            request_id=self.request_id.decode(),
            extra=refusal.extra,
        )
        headers += [
            (name.lower().encode(), value.encode()) for name, value in refusal.headers.items()
        ]
        self.status = refusal.status
        start = {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": headers,
        }
        await self._finish(start, body)

    async def _finish(
        self, start: Message, body: bytes, vary: tuple[bytes, bytes] | None = None
    ) -> None:
        headers: HeaderList = list(start["headers"])
        if self.is_read and self.status == 200:
            headers, body = await self._represent(start, headers, body)
        elif self.status >= 400:
            headers = [_of_error(name, value) for name, value in headers]
        elif self.method == "OPTIONS":
            headers = [self._of_options(name, value) for name, value in headers]
        headers += self._common(headers, vary)
        if self.status == 201 and (created := location(self._scope)) is not None:
            headers.append((b"location", created))
        if self.method == "HEAD":
            body = b""
        await self._emit(start, headers, body)

    async def _emit(self, start: Message, headers: HeaderList, body: bytes) -> None:
        send_whole = whole_responses.sender(self._scope)
        if send_whole is not None:
            await send_whole(self.status, head_lines(headers) + self._fixed.lines, body)
            return
        headers += self._fixed.headers
        await self._send({**start, "status": self.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _represent(
        self, start: Message, headers: HeaderList, body: bytes
    ) -> tuple[HeaderList, bytes]:
        """Return headers and body of a GET's answer: tagged, compressed, or a 304."""
        present = dict(headers)
        stated = present.get(b"etag")
        tag = stated or entity_tags.of_body(body)
        is_plain = b"content-encoding" not in present
        coding = None
        if (
            is_plain
            and len(body) >= MIN_BYTES
            and is_compressible(present.get(b"content-type", b""))
        ):
            coding = choose(self.headers.get(b"accept-encoding", b""))
        sent_tag = tag if coding is None else entity_tags.of_coding(tag, coding)
        if entity_tags.matches(self.headers.get(b"if-none-match"), tag):
            self.status = 304
            kept = [item for item in headers if item[0] not in _CONTENT and item[0] != b"etag"]
            return [*kept, (b"etag", sent_tag)], b""
        if coding is not None:
            # What a handler states may be another kind of tag, a file's time for example.
            computed = entity_tags.of_body(body) if stated else tag
            body = await self._edge.bodies.get(computed, coding, body)
        kept = [item for item in headers if item[0] != b"content-length" and item[0] != b"etag"]
        kept += ((b"etag", sent_tag), (b"content-length", b"%d" % len(body)))
        if coding is not None:
            kept.append((b"content-encoding", coding))
        return kept, body

    def _of_options(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name != b"allow":
            return name, value
        shape = path_shape(self._scope.get("path_template", ""))
        return name, self._edge.allowed.get(shape, value)

    def _common(self, headers: HeaderList, vary: tuple[bytes, bytes] | None = None) -> HeaderList:
        """Return what every response carries, besides what it has and the fixed headers."""
        made: HeaderList = [
            (request_ids.HEADER, self.request_id),
            *limit_headers(states_of(self._scope)),
        ]
        present = {name for name, _ in headers}
        is_shown = self.is_read and self.status < 400
        if b"cache-control" not in present:
            is_kept = is_shown and self._path.startswith("/api/")
            made.append(_REVALIDATE if is_kept else NO_STORE)
        made.append(vary or (_VARY_READ if self.is_read else _VARY_OTHER))
        if self.trace is not None:
            made.append((request_ids.TRACE_HEADER, self.trace))
        if is_shown and self._path.startswith("/api/"):
            made += self._edge.freshness.headers
        return made + self._cross_origin()

    def _cross_origin(self) -> HeaderList:
        """Return what lets pages of other origins read the response."""
        if self._is_action:
            return self._edge.action_headers
        origin = self.headers.get(b"origin")
        return [] if origin is None else self._edge.cors.response_headers(origin)


def _is_event_stream(start: Message) -> bool:
    return (b"content-type", EVENT_STREAM) in start["headers"]


def _of_error(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a header of an error as it is sent.

    HEAD is allowed wherever GET is. What an error says of caching was meant for other answers.
    """
    if name == b"allow" and b"GET" in value and b"HEAD" not in value:
        methods = {b"HEAD", *(method.strip() for method in value.split(b","))}
        return name, b", ".join(sorted(methods))
    if name == b"cache-control":
        return NO_STORE
    return name, value


def _announced_size(headers: dict[bytes, bytes]) -> int:
    announced = headers.get(b"content-length", b"0")
    return int(announced) if announced.isdigit() else 0
