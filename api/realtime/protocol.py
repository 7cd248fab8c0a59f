"""The messages of the WebSocket endpoint.

Client: ``{"action": "subscribe" | "unsubscribe", "market_id": …, "since"?: …}`` (or
``"channel": "markets"`` instead of ``market_id``), ``{"action": "ping" | "pong"}``.
Server: ``{type, market_id?, timestamp, data, channel?, seq?, prev?}``. A frame of a channel
carries ``seq``, its position in the one global sequence, and ``prev``, the position before
it on the same channel: a client applies it when ``prev`` is what it has, and subscribes
again with ``since`` otherwise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api import request_decoding
from api.errors import ApiError
from zmart_pipelines.client_schemas.formats import iso8601

# A client that comes back may take up all its subscriptions again at once.
MAX_MESSAGES_PER_MINUTE = 120

# Close codes that tell the client what to do.
CLOSE_SLOW = 4002  # come back with ``since``
CLOSE_POLICY = 4008  # fix the client
CLOSE_TOO_MANY = 4029  # fewer sockets from this address


class Command(msgspec.Struct, frozen=True):
    """One message of a client. Members that we do not know are ignored."""

    action: str
    market_id: str | None = None
    channel: str | None = None
    since: int | None = None


class Malformed(Exception):
    """The client's message is none of ours; the text says why."""


def read(text: str | bytes) -> Command:
    """The command in ``text``; Malformed otherwise."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        command = msgspec.convert(request_decoding.decode(raw), Command)
    except ApiError as error:
        raise Malformed(f"Invalid message format: {error.message}") from error
    except msgspec.ValidationError as error:
        raise Malformed(f"Invalid message format: {error}") from error
    if command.since is not None and not 0 <= command.since < 2**63:
        raise Malformed("Invalid message format: since must be a position, 0 or more")
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
    """Return the message that a command of the client was refused."""
    return reply("error", {"error": text})
