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

log = logging.getLogger("localnet.rpc")

_GROUPS = (accounts, cluster, send, transactions)
"""The modules that fill the table of methods when they are imported."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def handle(node: Node, body: bytes) -> bytes:
    """Answer one request or a batch of them."""
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _encode(_failure(None, RpcError(PARSE_ERROR, "Parse error")))
    if isinstance(request, list):
        if not request:
            return _encode(_failure(None, RpcError(INVALID_REQUEST, "Invalid request")))
        return _encode([call(node, entry) for entry in request])
    return _encode(call(node, request))


def call(node: Node, request: Any) -> dict[str, Any]:
    """Answer one decoded request."""
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _failure(None, RpcError(INVALID_REQUEST, "Invalid request"))
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
        result = handler(Params(node, values))
    except RpcError as error:
        return _failure(identity, error)
    except Exception:
        log.exception("%s failed", request["method"])
        return _failure(identity, RpcError(INTERNAL_ERROR, "Internal error"))
    return {"jsonrpc": "2.0", "result": result, "id": identity}


def _failure(identity: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.body(), "id": identity}
