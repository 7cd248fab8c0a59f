"""Solana's RPC over HTTP, with fault injection."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable

from localnet.answer_faults import alter_answer, altered_request
from localnet.blocks import Commitment
from localnet.faults import AFTER_EXECUTION, ANSWERS, BEFORE_EXECUTION, Fault, FaultKind
from localnet.node import Node
from localnet.rpc import dispatch
from localnet.rpc.errors import NODE_UNHEALTHY, RpcError
from localnet.views import ChainView

MAX_BODY: Final = 50 * 1024 * 1024
LAG_PATH: Final = "/lag/"
_CORS: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET, OPTIONS"),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-max-age", b"86400"),
]
_JSON: Final = [(b"content-type", b"application/json; charset=utf-8"), *_CORS]
_PAGE: Final = b"<!DOCTYPE html><html><body><h1>One moment, please</h1></body></html>"
_DRIPS: Final = 10

Headers = list[tuple[bytes, bytes]]


async def body(receive: ASGIReceiveCallable) -> bytes | None:
    """Return the request's body, None when it is larger than any node accepts."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def respond(
    send: ASGISendCallable, status: int, content: bytes, headers: Headers | None = None
) -> None:
    """Send a complete response."""
    await _start(send, status, len(content), _CORS if headers is None else headers)
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def _start(send: ASGISendCallable, status: int, length: int, headers: Headers) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-length", str(length).encode()), *headers],
            "trailers": False,
        }
    )


async def serve(
    node: Node, method: str, path: str, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """Respond to one HTTP request to the RPC."""
    if method == "OPTIONS":
        await respond(send, 204, b"")
    elif method != "POST":
        if path == "/health":
            await respond(send, 200, b"ok")
        else:
            await respond(send, 405, b"Used HTTP Method is not allowed. POST is required")
    else:
        content = await body(receive)
        if content is None:
            await respond(send, 413, b"request body too large")
        else:
            await _call(node, path, content, send)


async def _call(node: Node, path: str, content: bytes, send: ASGISendCallable) -> None:
    try:
        view = ChainView(node.bank, int(path.removeprefix(LAG_PATH)) if path != "/" else 0)
    except ValueError:
        message = b"unknown path; the RPC is at /, a node N blocks behind is at /lag/N"
        await respond(send, 404, message)
        return
    try:
        request = dispatch.decode(content)
    except RpcError as error:
        await respond(send, 200, dispatch.encode(dispatch.failure(None, error)), _JSON)
        return
    if not node.faults.armed:
        await respond(send, 200, dispatch.handle(node, request, view), _JSON)
        return
    methods = dispatch.methods(request)
    fault = node.faults.consume(BEFORE_EXECUTION, methods, path)
    if fault is not None:
        await _refuse(fault, request, send)
        return
    result = _executed(node, path, request, view)
    fault = node.faults.consume(AFTER_EXECUTION, methods, path)
    if fault is None:
        await respond(send, 200, result, _JSON)
    else:
        await _corrupt(fault, result, send)


def _executed(node: Node, path: str, request: Any, view: ChainView) -> bytes:
    """Execute a request, with a fault of the answer's content if one is armed."""
    fault = node.faults.consume(ANSWERS, dispatch.methods(request), path)
    if fault is None:
        return dispatch.handle(node, request, view)
    result = dispatch.handle(node, altered_request(fault, request), view)
    answer = msgspec.json.decode(result)
    alter_answer(fault, request, answer, view.tip(Commitment.PROCESSED).slot - fault.slots)
    return dispatch.encode(answer)


async def _refuse(fault: Fault, request: Any, send: ASGISendCallable) -> None:
    """Respond with a fault without executing anything."""
    if fault.kind is FaultKind.RATE_LIMIT:
        headers = list(_JSON)
        if fault.retry_after is not None:
            headers.append((b"retry-after", str(fault.retry_after).encode()))
        error = RpcError(429, "Too many requests for a specific RPC call")
        await respond(send, 429, dispatch.encode(dispatch.failure(None, error)), headers)
    elif fault.kind is FaultKind.SERVER_ERROR:
        await respond(send, fault.status, b"upstream connect error", [])
    elif fault.kind is FaultKind.HTML:
        await respond(send, 200, _PAGE, [(b"content-type", b"text/html")])
    else:
        error = RpcError(
            NODE_UNHEALTHY,
            f"Node is behind by {fault.slots} slots",
            {"numSlotsBehind": fault.slots},
        )
        await respond(send, 200, dispatch.refuse_all(request, error), _JSON)


async def _corrupt(fault: Fault, result: bytes, send: ASGISendCallable) -> None:
    """Apply a response fault to an executed request: alter, delay or drop the response."""
    if fault.kind is FaultKind.LOST_ANSWER:
        # The server closes a connection whose response is not completed.
        await _start(send, 200, len(result), _JSON)
    elif fault.kind is FaultKind.TRUNCATED:
        await respond(send, 200, result[: len(result) // 2], _JSON)
    elif fault.kind is FaultKind.SLOW:
        await _start(send, 200, len(result), _JSON)
        step = -(-len(result) // _DRIPS)
        for at in range(0, len(result), step):
            await asyncio.sleep(fault.seconds / _DRIPS)
            drop = result[at : at + step]
            more = at + step < len(result)
            await send({"type": "http.response.body", "body": drop, "more_body": more})
    else:
        await respond(send, 200, _altered(fault.kind, result), _JSON)


def _altered(kind: FaultKind, result: bytes) -> bytes:
    decoded = msgspec.json.decode(result)
    for response in decoded if isinstance(decoded, list) else [decoded]:
        if kind is FaultKind.WRONG_ID:
            identity = response["id"]
            response["id"] = identity + 1 if isinstance(identity, int) else f"{identity}-other"
        else:
            response.pop("error", None)
            response["result"] = None
    return dispatch.encode(decoded)
