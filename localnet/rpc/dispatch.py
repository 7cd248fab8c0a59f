"""From the bytes of a request to the bytes of the response."""

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
from localnet.views import Sight

log = logging.getLogger("localnet.rpc")

_GROUPS = (accounts, cluster, send, transactions)
"""The modules that fill the table of methods when they are imported."""

_decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


def decode(body: bytes) -> Any:
    """The request or the batch of them that a body holds."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RpcError(PARSE_ERROR, "Parse error") from error


def methods(request: Any) -> set[str]:
    """The methods that a request or batch calls."""
    return {
        one["method"]
        for one in (request if isinstance(request, list) else [request])
        if isinstance(one, dict) and isinstance(one.get("method"), str)
    }


def answer(node: Node, request: Any, sight: Sight) -> bytes:
    """Execute one request or a batch of them."""
    if not isinstance(request, list):
        return encode(call(node, request, sight))
    if not request:
        return encode(failure(None, RpcError(INVALID_REQUEST, "Invalid request")))
    return encode([call(node, one, sight) for one in request])


def refuse(request: Any, error: RpcError) -> bytes:
    """Answer everything in a request with one error."""
    if isinstance(request, list):
        return encode([failure(_identity(one), error) for one in request])
    return encode(failure(_identity(request), error))


def call(node: Node, request: Any, sight: Sight) -> dict[str, Any]:
    """Answer one decoded request."""
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
        result = handler(Params(node, values, sight))
    except RpcError as error:
        return failure(identity, error)
    except Exception:
        log.exception("%s failed", request["method"])
        return failure(identity, RpcError(INTERNAL_ERROR, "Internal error"))
    return {"jsonrpc": "2.0", "result": result, "id": identity}


def failure(identity: Any, error: RpcError) -> dict[str, Any]:
    """A response with an error."""
    return {"jsonrpc": "2.0", "error": error.body(), "id": identity}


def _identity(request: Any) -> Any:
    return request.get("id") if isinstance(request, dict) else None
