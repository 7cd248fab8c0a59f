"""Responses that are written at once, with a head that is encoded already.

ASGI takes a response in two messages, and uvicorn checks each of its headers with two regular
expressions: for a short answer that is a fifth of all work. An app finds in
``scope["extensions"][EXTENSION]`` a function that takes status, head and body instead; whoever
calls it has checked the head.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

EXTENSION: Final = "zmart.whole_response"
# Status, the lines of the head that the server does not add itself, body.
SendWhole: TypeAlias = Callable[[int, bytes, bytes], Awaitable[None]]


def offer(cycle: RequestResponseCycle) -> None:
    """Let the app answer the request of ``cycle`` by a whole response."""
    scope: Any = cycle.scope

    async def send(status: int, head: bytes, body: bytes) -> None:
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            _write(cycle, status, head, body)

    scope["extensions"] = {EXTENSION: send}


def sender(scope: Mapping[str, Any]) -> SendWhole | None:
    """Return the function of the server that runs the app; None where it has none."""
    found: SendWhole | None = (scope.get("extensions") or {}).get(EXTENSION)
    return found


def _write(cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> None:
    """Write a response, and do what uvicorn's ``send`` does at a response's end."""
    if cycle.response_started:
        raise RuntimeError("The response has begun already")
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    lines = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        lines += (name, b": ", value, b"\r\n")
    lines.append(head)
    lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    cycle.transport.writelines((b"".join(lines), body) if body else lines)
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
