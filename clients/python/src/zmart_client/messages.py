"""Calls as HTTP requests, and responses as answers."""

from __future__ import annotations

from typing import TypeVar, cast

import httpx
import msgspec

from zmart_client.call import Call

Answer = TypeVar("Answer")


def request_of(
    http: httpx.Client | httpx.AsyncClient, call: Call[Answer], headers: dict[str, str]
) -> httpx.Request:
    """Return the request that sends a call."""
    content = None
    if call.body is not None:
        content = msgspec.json.encode(call.body)
        headers = headers | {"Content-Type": "application/json"}
    return http.build_request(
        call.method, call.path, params=call.parameters(), content=content, headers=headers
    )


def answer_of(response: httpx.Response, call: Call[Answer]) -> Answer:
    """Return the answer of a successful response.

    Raises:
        msgspec.ValidationError: It is not what the API's document says.
    """
    if call.answer is bytes:
        return cast(Answer, response.content)
    return msgspec.json.decode(response.content, type=call.answer)
