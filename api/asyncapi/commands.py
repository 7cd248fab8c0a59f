"""The messages that a client sends over a WebSocket."""

from __future__ import annotations

from typing import Final, NamedTuple

from api.realtime.protocol import Command
from api.struct_schemas import JsonSchema


class ClientCommand(NamedTuple):
    """A command of a client.

    Attributes:
        name: Its name in the document.
        action: The value of ``action``.
        summary: What it does.
        replies: Names of the messages that answer it.
        members: What it may have beside ``action``.
        one_of: Members of which it has at least one.
    """

    name: str
    action: str
    summary: str
    replies: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()


_CHANNEL: Final = ("channel", "market_id")

COMMANDS: Final = (
    ClientCommand(
        "subscribe",
        "subscribe",
        "Subscribes to a channel, and with `since` to the frames after that position.",
        ("subscribed", "marketSubscribed", "error"),
        (*_CHANNEL, "since"),
        _CHANNEL,
    ),
    ClientCommand(
        "unsubscribe",
        "unsubscribe",
        "Ends a subscription.",
        ("unsubscribed", "marketUnsubscribed", "error"),
        _CHANNEL,
        _CHANNEL,
    ),
    ClientCommand(
        "authenticate",
        "authenticate",
        "Has the socket act for the holder of a ticket, which `POST /api/realtime/tickets` gives"
        " to a session or an operator's key. It is good once.",
        ("authenticated", "error"),
        ("ticket",),
        ("ticket",),
    ),
    ClientCommand("ping", "ping", "Asks for a `pong`.", ("pong",)),
    ClientCommand("clientPong", "pong", "Is ignored; older clients send it."),
)


def payload(command: ClientCommand, described: JsonSchema) -> JsonSchema:
    """Return the schema of a command; ``described`` is that of ``Command``."""
    properties = {"action": {"type": "string", "const": command.action}}
    properties |= {name: described["properties"][name] for name in command.members}
    schema: JsonSchema = {"type": "object", "properties": properties, "required": ["action"]}
    if command.one_of:
        schema["anyOf"] = [{"required": [name]} for name in command.one_of]
    return schema


STRUCTS: Final = (Command,)
