"""The messages of the WebSocket endpoint.

A client sends ``{"action": "subscribe" | "unsubscribe", "market_id": …, "since"?: …}`` (or
``"channel": "markets"`` instead of ``market_id``), or ``{"action": "ping" | "pong"}``. The
server sends a ``Message``: a client applies a frame if ``prev`` is the position it has, and
subscribes again with ``since`` otherwise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.errors import ApiError
from api.requests import decoding
from zmart_pipelines.client_schemas.formats import iso8601

# Close codes that tell the client what to do.
CLOSE_SLOW = 4002  # reconnect with ``since``
BUSY_ADDRESS_REASON = "Too many connections and messages from this address in a minute"
SLOW_REASON = "Client reads too slowly; reconnect and subscribe with since"
CLOSE_POLICY = 4008  # fix the client
CLOSE_TOO_MANY = 4029  # open fewer sockets from this address


class Command(msgspec.Struct, frozen=True):
    """One message of a client. Unknown fields are ignored."""

    action: str
    market_id: str | None = None
    channel: str | None = None
    since: int | None = None


class InvalidMessage(Exception):
    """The client's message is not a command; the text says why."""


def parse_command(text: str | bytes) -> Command:
    """Return the command in ``text``; raise InvalidMessage where it is not one."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        command = msgspec.convert(decoding.decode(raw), Command)
    except ApiError as error:
        raise InvalidMessage(f"Invalid message format: {error.message}") from error
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"Invalid message format: {error}") from error
    if command.since is not None and not 0 <= command.since < 2**63:
        raise InvalidMessage(
            "Invalid message format: since must be a position (an integer from 0 to 2^63 - 1)"
        )
    return command


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message to a client.

    A frame of a channel has all fields but, on the channel of all markets, `market_id`.
    `seq` is its position in one sequence over all channels, `prev` the position before it on
    the same channel (0: none).
    """

    type: str
    timestamp: str
    data: Any
    market_id: str | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    prev: int | UnsetType = UNSET


def encode(message: Message) -> str:
    """Return the JSON text of ``message``."""
    return msgspec.json.encode(message).decode()


def channel_market(channel: str) -> str | UnsetType:
    """Return the id of the market that ``channel`` belongs to; UNSET for all markets."""
    prefix, _, market_id = channel.partition(":")
    return market_id if prefix == "market" else UNSET


def reply(
    type_: str,
    data: dict[str, Any],
    *,
    channel: str | UnsetType = UNSET,
    seq: int | UnsetType = UNSET,
) -> str:
    """Return a message that is not a frame of a channel's sequence, as JSON text."""
    market_id = UNSET if channel is UNSET else channel_market(channel)
    now = iso8601(datetime.now(UTC))
    return encode(Message(type_, now, data, market_id, channel, seq))


def error(text: str) -> str:
    """Return the message that a command of the client failed."""
    return reply("error", {"error": text})
