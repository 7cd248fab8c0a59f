"""Decode JSON bodies strictly, with limits, and name the field that is invalid.

Litestar decodes a body for a handler's ``data`` through ``Request.json``; this one rejects
what Postgres or the decoder cannot store (NUL, integers outside 64 bits, invalid UTF-8, deep
nesting) before any handler runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException

from api.error_codes import ErrorCode
from api.errors import ApiError, invalid

MAX_BODY = 64 * 1024
MAX_DEPTH = 32
MAX_INTEGER = 2**64
# What Litestar raises has no type of its own.
_CLIENT_GONE = "client disconnected prematurely"


def decode(body: bytes) -> Any:
    """Return ``body`` as JSON values; raise ApiError 400 where it is invalid or exceeds a limit."""
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise invalid("body", "is not valid UTF-8", code=ErrorCode.INVALID_JSON) from error
    except RecursionError as error:
        raise _too_deep("body") from error
    except msgspec.DecodeError as error:
        raise invalid("body", f"is not valid JSON: {error}", code=ErrorCode.INVALID_JSON) from error
    _check(value, "", MAX_DEPTH)
    return value


def _too_deep(name: str) -> ApiError:
    reason = f"must not be nested deeper than {MAX_DEPTH} levels"
    return invalid(name, reason, code=ErrorCode.INVALID_JSON)


def _check(value: object, name: str, depth: int) -> None:
    """Raise ApiError 400 naming the first value that cannot be stored."""
    if isinstance(value, str):
        if "\x00" in value:
            raise invalid(name or "body", "must not contain NUL characters")
    elif isinstance(value, int):
        if not -MAX_INTEGER < value < MAX_INTEGER:
            raise invalid(name or "body", "must be an integer within 64 bits")
    elif isinstance(value, list | dict):
        if depth == 0:
            raise _too_deep(name or "body")
        for item_name, item in _items(value, name):
            _check(item, item_name, depth - 1)


def _items(value: list[Any] | dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Yield the items of an array or object with their names for error messages."""
    if isinstance(value, list):
        for item in value:
            yield name, item
        return
    for key, item in value.items():
        if "\x00" in key:
            raise invalid(name or "body", "must not contain NUL characters in field names")
        yield (f"{name}.{key}" if name else key), item


def require_uncompressed(request: Request[Any, Any, Any]) -> None:
    """Raise ApiError 415 where the body is compressed: its real size would be unknown."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "Content-Encoding is not supported; send the body uncompressed")


class StrictRequest(Request[Any, Any, State]):
    """A request whose JSON body is decoded by the rules of this module, once."""

    async def body(self) -> bytes:
        """Return the body; raise ApiError 400 where the client leaves before its end.

        The answer reaches no client. It is an error of the client, so it is not logged as ours.
        """
        try:
            return await super().body()
        except InternalServerException as error:
            if error.detail != _CLIENT_GONE:
                raise
            raise ApiError(400, "The client closed the connection") from error

    async def json(self) -> Any:
        """Return the body's JSON value; raise ApiError 400, 413 or 415 where it is rejected."""
        require_uncompressed(self)
        if self.content_type[0] != "application/json":
            raise ApiError(415, "Content-Type must be application/json")
        state = self.scope["state"]
        if "json" not in state:
            state["json"] = decode(await self.body())
        return state["json"]
