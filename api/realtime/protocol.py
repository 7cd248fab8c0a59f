"""The messages of the live updates.

A client sends ``{"action": "subscribe" | "unsubscribe", "channel": …, "since"?: …}`` (older
clients name a market as ``market_id``, or all of them as ``"market_id": "markets"``), or
``{"action": "ping" | "pong"}``. The server sends a ``Message``: a client applies a frame if
``prev`` is the position it has, and subscribes again with ``since`` otherwise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.error_codes import ErrorCode
from api.errors import ApiError
from api.realtime.channels import Channel
from api.realtime.outgoing import Outgoing, json_message
from api.requests import decoding
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.store.stream import StoredFrame
from zmart_pipelines.store.stream_sources import Source

# Close codes that tell the client what to do.
CLOSE_AUTHENTICATION = 4001  # get a good ticket, then reconnect
AUTHENTICATION_REASON = (
    "Too many wrong tickets; get one by POST /api/realtime/tickets and reconnect"
)
CLOSE_RESTART = 1012  # reconnect with ``since``
RESTART_REASON = "The server restarts; reconnect and subscribe with since"
CLOSE_SLOW = 4002  # reconnect with ``since``
BUSY_ADDRESS_REASON = "Too many connections and messages from this address in a minute"
SLOW_REASON = "Client reads too slowly; reconnect and subscribe with since"
CLOSE_POLICY = 4008  # fix the client
CLOSE_TOO_MANY = 4029  # open fewer sockets from this address, and wait before the next


class Command(msgspec.Struct, frozen=True):
    """One message of a client. Unknown fields are ignored.

    Where both are given, `market_id` counts and `channel` does not. With `since`, a position, the
    server sends the frames after it.
    """

    action: str
    market_id: str | None = None
    channel: str | None = None
    since: int | None = None
    ticket: str | None = None


class InvalidMessage(Exception):
    """The client's message is not a command; the text says why."""

    code = ErrorCode.BAD_REQUEST


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

    A frame has `channel` and `seq`, its position in one sequence over all channels; `market_id`
    where the channel is a market's. `prev` is the position before it on the same channel (0: none).
    A frame of a conflated channel has `conflated` and no `prev`: it holds the whole state, and
    frames before it may have been left out.
    """

    type: str
    timestamp: str
    data: Any
    market_id: str | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    prev: int | UnsetType = UNSET
    conflated: bool | UnsetType = UNSET


class Welcome(msgspec.Struct, frozen=True):
    """`data` of a `welcome` message. `client_id` names the socket."""

    client_id: str
    message: str


class Pong(msgspec.Struct, frozen=True):
    """`data` of a `pong` message: nothing."""


class Failure(msgspec.Struct, frozen=True):
    """`data` of an `error` message: what is wrong with the command, and a code for programs."""

    error: str
    code: ErrorCode


def frame(stored: StoredFrame, channel: Channel, source: Source) -> Outgoing:
    """Return the message that clients of ``channel`` receive for a frame of its ``source``."""
    message = Message(
        type=stored.type,
        timestamp=iso8601(stored.created_at),
        data=stored.payload,
        market_id=_market_id(channel),
        channel=channel.name,
        seq=stored.position,
        prev=source.previous(stored),
    )
    return json_message(message.type, _encode(message), stored.position)


def reply(
    type_: str,
    data: Any,
    *,
    channel: Channel | None = None,
    seq: int | UnsetType = UNSET,
) -> Outgoing:
    """Return a message of now that is no frame."""
    now = iso8601(datetime.now(UTC))
    if channel is None:
        return json_message(type_, _encode(Message(type_, now, data)))
    message = Message(type_, now, data, _market_id(channel), channel.name, seq)
    return json_message(type_, _encode(message))


def state(channel: Channel, seq: int, data: Any) -> Outgoing:
    """Return the frame of a conflated channel that holds its state ``data``."""
    type_ = channel.part or channel.name
    message = Message(
        type_,
        iso8601(datetime.now(UTC)),
        data,
        _market_id(channel),
        channel.name,
        seq,
        conflated=True,
    )
    return json_message(type_, _encode(message))


def _encode(message: Message) -> bytes:
    return msgspec.json.encode(message)


def _market_id(channel: Channel) -> str | UnsetType:
    return UNSET if channel.market_id is None else channel.market_id.hex()


def error(text: str, code: ErrorCode) -> Outgoing:
    """Return the message that a command of the client failed; ``code`` is for programs."""
    return reply("error", Failure(text, code))
