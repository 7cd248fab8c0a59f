"""How a JSON body is read: strictly, with limits, and with a name for what is wrong.

Litestar decodes a body for a handler's ``data`` through ``Request.json``; ours refuses
what Postgres or the decoder cannot take (NUL, numbers past 64 bits, broken UTF-8, deep
nesting) before any handler sees it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State

from api.errors import ApiError, invalid

MAX_BODY = 64 * 1024
MAX_DEPTH = 32
MAX_INTEGER = 2**64


def decode(body: bytes) -> Any:
    """``body`` as JSON values; ApiError 400 where it is none or holds what we never take."""
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise invalid("body", "is not UTF-8") from error
    except RecursionError as error:
        raise invalid("body", "is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise invalid("body", f"is not valid JSON: {error}") from error
    _check(value, "", MAX_DEPTH)
    return value


def _check(value: object, name: str, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise invalid(name or "body", "holds a NUL character")
    elif isinstance(value, bool | float) or value is None:
        return
    elif isinstance(value, int):
        if not -MAX_INTEGER < value < MAX_INTEGER:
            raise invalid(name or "body", "is a number past 64 bits")
    elif depth == 0:
        raise invalid(name or "body", "is nested too deeply")
    elif isinstance(value, list):
        for item in value:
            _check(item, name, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if "\x00" in key:
                raise invalid(name or "body", "has a name with a NUL character")
            _check(item, f"{name}.{key}" if name else key, depth - 1)


def require_plain(request: Request[Any, Any, Any]) -> None:
    """ApiError 415 where the body is compressed: its real size would be unknown."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "Content-Encoding is not accepted; send the body as it is")


class StrictRequest(Request[Any, Any, State]):
    """A request whose JSON body is read by the rules of this module."""

    async def json(self) -> Any:
        """The body's JSON value; ApiError 400, 413 or 415 where it is not acceptable."""
        require_plain(self)
        if self.content_type[0] != "application/json":
            raise ApiError(415, "Content-Type must be application/json")
        return decode(await self.body())
