"""The live updates over HTTP, as channels of the AsyncAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

KEY: Final = "stream"
SERVER: Final = "http"
_DESCRIPTION: Final = (
    "The frames of up to 20 channels without a socket: as Server-Sent Events with `Accept:"
    " text/event-stream`, else by long poll. Each event is one message: `event` is its `type`,"
    " `data` the message, `id` a position. A page of the long poll has the same messages in"
    " `frames`, `subscribed` and `reset`. Parameters and answers are described at"
    " [/docs](/docs#/live%20updates/follow_stream)."
)


def channel(names: Iterable[str]) -> dict[str, Any]:
    """Return the channel; ``names`` are those of the messages that it carries."""
    return {
        "address": "/api/stream",
        "title": "Without a socket",
        "description": _DESCRIPTION,
        "servers": [{"$ref": f"#/servers/{SERVER}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def operation(names: Iterable[str]) -> dict[str, Any]:
    """Return the operation by which the server sends these messages."""
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{KEY}"},
        "summary": "Frames as Server-Sent Events or by long poll.",
        "bindings": {"http": {"method": "GET", "bindingVersion": "0.3.0"}},
        "messages": [{"$ref": f"#/channels/{KEY}/messages/{name}"} for name in names],
    }
