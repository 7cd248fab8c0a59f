"""Dispatch of requests to methods, from request bytes to response bytes."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from localnet.node import Node
from localnet.rpc import accounts, cluster, send, transactions
from localnet.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
    invalid,
)
from localnet.rpc.params import Params
from localnet.rpc.registry import METHODS
from localnet.views import ChainView

log = logging.getLogger("localnet.rpc")

_GROUPS = (accounts, cluster, send, transactions)
"""The modules that register methods when they are imported."""

_decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


def decode(body: bytes) -> Any:
    """Decode a body, which holds a request or a batch of requests."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RpcError(PARSE_ERROR, "Parse error") from error


def methods(request: Any) -> set[str]:
    """Return the methods that a request or batch calls."""
    return {
        call["method"]
        for call in (request if isinstance(request, list) else [request])
        if isinstance(call, dict) and isinstance(call.get("method"), str)
    }


def handle(node: Node, request: Any, view: ChainView) -> bytes:
    """Execute a request or a batch and return the encoded response."""
    if not isinstance(request, list):
        return encode(call(node, request, view))
    if not request:
        return encode(failure(None, RpcError(INVALID_REQUEST, "Invalid request")))
    return encode([call(node, item, view) for item in request])


def refuse_all(request: Any, error: RpcError) -> bytes:
    """Respond to a request, or to every request of a batch, with one error."""
    if isinstance(request, list):
        return encode([failure(_identity(item), error) for item in request])
    return encode(failure(_identity(request), error))


def call(node: Node, request: Any, view: ChainView) -> dict[str, Any]:
    """Execute one decoded request and return the response."""
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return failure(None, RpcError(INVALID_REQUEST, "Invalid request"))
    identity = request.get("id")
    try:
        handler = METHODS.get(request["method"])
        if handler is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        values = request.get("params")
        if values is None:
            values = []
        if not isinstance(values, list):
            raise invalid("Invalid params: expected a list")
        result = handler(Params(node, values, view))
    except RpcError as error:
        return failure(identity, error)
    except Exception:
        log.exception("%s failed", request["method"])
        return failure(identity, RpcError(INTERNAL_ERROR, "Internal error"))
    return {"jsonrpc": "2.0", "result": result, "id": identity}


def failure(identity: Any, error: RpcError) -> dict[str, Any]:
    """Return a response with an error."""
    return {"jsonrpc": "2.0", "error": error.body(), "id": identity}


def _identity(request: Any) -> Any:
    return request.get("id") if isinstance(request, dict) else None
