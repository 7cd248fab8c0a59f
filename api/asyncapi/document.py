"""The AsyncAPI 3.0 document of the live updates, made from the structs that are sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from api.asyncapi import commands, examples, messages, stream
from api.asyncapi.channels import CHANNELS, PARAMETERS, Channel
from api.asyncapi.commands import COMMANDS, ClientCommand
from api.asyncapi.messages import CONTROL, FRAMES, SENT
from api.openapi.document import VERSION
from api.realtime.acknowledgements import Acknowledgement, MarketAcknowledgement
from api.realtime.feed import Reset
from api.realtime.protocol import Command, Message
from api.struct_schemas import JsonSchema, described_types

Document = dict[str, Any]

SOCKET: Final = "socket"
SNAPSHOT: Final = "x-snapshot"
_JSON: Final = "application/json"
_WITH_SNAPSHOT: Final = (Acknowledgement, MarketAcknowledgement, Reset)
_SOCKET_SERVERS: Final = [{"$ref": "#/servers/api"}, {"$ref": "#/servers/sockets"}]
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_TICKET: Final = "ticket"
_TICKET_SCHEME: Final = {
    "type": "apiKey",
    "in": "password",
    "description": "A ticket of `POST /api/realtime/tickets`, sent in the command `authenticate`.",
}
_DESCRIPTION: Final = (
    "Live updates of the ZMART prediction market. Requests over HTTP are described at"
    " [/docs](/docs).\n\n"
    "A client opens a WebSocket and subscribes to channels. The acknowledgement has a snapshot, the"
    " state as of the position `seq`, in the shape of the responses over HTTP; then come the frames"
    " that lead on from it. A frame's `seq` is its position in one sequence over all channels,"
    " `prev` the position before it on the same channel. **Apply a frame if `prev` is the position"
    " that you have. Otherwise, and after each reconnect, subscribe again with `since`**, the last"
    " `seq` that you applied: the frames after it follow.\n\n"
    "Heartbeats state the newest position of each channel, so that a client notices a missed frame"
    " on a channel where nothing else happens. Members, messages and channels may be added in a"
    " minor version: ignore what you do not know."
)


def asyncapi_document(origin: str, socket_port: int) -> Document:
    """Return the document of an API.

    Args:
        origin: The origin under which clients reach it, such as ``https://api.example.com``.
        socket_port: The port of older clients' sockets.
    """
    snapshots = dict.fromkeys(one for channel in CHANNELS for one in channel.snapshots)
    schemas, components = described_types((*messages.STRUCTS, *commands.STRUCTS, *snapshots))
    envelope, command = (components.pop(struct.__name__) for struct in (Message, Command))
    for struct in _WITH_SNAPSHOT:
        _describe_snapshot(components[struct.__name__], [schemas[one] for one in snapshots])
    described = {
        one.name: _message(
            one.name, one.type, one.summary, messages.payload(one, envelope, schemas[one.data])
        )
        for one in SENT
    } | {
        one.name: _message(one.name, one.action, one.summary, commands.payload(one, command))
        for one in COMMANDS
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "ZMART live updates", "version": VERSION, "description": _DESCRIPTION},
        "defaultContentType": _JSON,
        "servers": _servers(origin, socket_port),
        "channels": {
            SOCKET: _socket(),
            **{
                one.key: _channel(one, [schemas[each] for each in one.snapshots])
                for one in CHANNELS
            },
            **{f"{channel.key}Path": _path(channel) for channel in CHANNELS if channel.path},
            stream.KEY: stream.channel(_streamed()),
        },
        "operations": {
            **dict(map(_received, COMMANDS)),
            "sendUnasked": _sent_unasked(),
            **dict(map(_sent, CHANNELS)),
            "sendStream": stream.operation(_streamed()),
        },
        "components": {
            "messages": described,
            "schemas": components,
            "securitySchemes": {_TICKET: _TICKET_SCHEME},
        },
    }


def _describe_snapshot(component: JsonSchema, snapshots: Iterable[JsonSchema]) -> None:
    component["properties"]["snapshot"] = {
        "description": "As the channel describes it.",
        "anyOf": [*snapshots],
    }


def _streamed() -> list[str]:
    """Return the names of the messages that are also sent without a socket."""
    return ["subscribed", "reset", "heartbeat", *_names(FRAMES)]


def _servers(origin: str, socket_port: int) -> Document:
    address = urlsplit(origin)
    protocol = "wss" if address.scheme == "https" else "ws"
    return {
        "api": {
            "host": address.netloc,
            "protocol": protocol,
            "title": "The API's port",
            "description": "Paths as the channels name them.",
        },
        "sockets": {
            "host": f"{address.hostname}:{socket_port}",
            "protocol": protocol,
            "title": "The port of older clients",
            "description": "Every path but those that name a channel is that of the socket, `/ws`.",
        },
        stream.SERVER: {
            "host": address.netloc,
            "protocol": address.scheme,
            "title": "The API's port, without a socket",
            "description": "For Server-Sent Events and long poll.",
        },
    }


def _socket() -> Document:
    return {
        "address": "/ws",
        "title": "The socket",
        "description": "Commands of the client, their answers, and what the server says of the"
        " connection. The path `/` is the same. A message of the client has at most 16 KiB.",
        "servers": _SOCKET_SERVERS,
        "messages": _references((*_names(COMMANDS), *_names(CONTROL))),
        "bindings": _handshake({}),
    }


def _channel(channel: Channel, snapshots: Sequence[JsonSchema]) -> Document:
    return {
        "address": channel.address,
        "title": channel.title,
        "description": channel.description,
        "messages": _references(channel.messages),
        SNAPSHOT: {"anyOf": [*snapshots]} if len(snapshots) > 1 else snapshots[0],
        **_parameters(channel.address),
    }


def _path(channel: Channel) -> Document:
    """Return the path on which a socket is subscribed to ``channel`` from the beginning."""
    path = str(channel.path)
    since = {"type": "integer", "minimum": 0, "description": "As in the command `subscribe`."}
    return {
        "address": path,
        "title": f"Socket with {channel.address}",
        "description": f"A socket that is subscribed to `{channel.address}` from the beginning.",
        "servers": _SOCKET_SERVERS,
        "messages": _references((*_names(COMMANDS), *_names(CONTROL), *channel.messages)),
        "bindings": _handshake({"since": since}),
        **_parameters(path),
    }


def _handshake(query: Document) -> Document:
    binding: Document = {"method": "GET", "bindingVersion": "0.1.0"}
    if query:
        binding["query"] = {"type": "object", "properties": query}
    return {"ws": binding}


def _parameters(address: str) -> Document:
    names = _PARAMETER.findall(address)
    return {"parameters": {name: PARAMETERS[name] for name in names}} if names else {}


def _names(described: Iterable[Any]) -> list[str]:
    return [one.name for one in described]


def _references(names: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _message(name: str, title: str, summary: str, payload: JsonSchema) -> Document:
    described: Document = {
        "name": name,
        "title": title,
        "summary": summary,
        "contentType": _JSON,
        "payload": payload,
    }
    if (example := examples.of(name)) is not None:
        described["examples"] = [{"name": name, "payload": example}]
    return described


def _received(command: ClientCommand) -> tuple[str, Document]:
    """Return the operation by which the server receives a command."""
    operation = _operation("receive", SOCKET, command.summary, [command.name])
    if command.replies:
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{SOCKET}"},
            "messages": _on_channel(SOCKET, command.replies),
        }
    return f"receive{_capitalized(command.name)}", operation


def _sent_unasked() -> Document:
    """Return the operation by which the server says what answers no command and is no frame."""
    replies = {name for command in COMMANDS for name in command.replies}
    names = [name for name in _names(CONTROL) if name not in replies]
    return _operation("send", SOCKET, "What the server says of the connection.", names)


def _sent(channel: Channel) -> tuple[str, Document]:
    """Return the operation by which the server sends a channel's frames."""
    operation = _operation("send", channel.key, channel.description, channel.messages)
    if channel.is_private:
        operation["security"] = [{"$ref": f"#/components/securitySchemes/{_TICKET}"}]
    return f"send{_capitalized(channel.key)}", operation


def _operation(action: str, channel: str, summary: str, names: Iterable[str]) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": _on_channel(channel, names),
    }


def _on_channel(channel: str, names: Iterable[str]) -> list[Document]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _capitalized(name: str) -> str:
    return name[0].upper() + name[1:]
