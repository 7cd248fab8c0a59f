"""The messages that the server sends, each with the struct of its ``data``."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import msgspec

from api.realtime import protocol
from api.realtime.acknowledgements import Acknowledgement, MarketAcknowledgement, SubscriptionEnded
from api.realtime.feed import Reset
from api.realtime.heartbeats import Heartbeat
from api.realtime.identity import Authenticated
from api.realtime.protocol import Message
from api.realtime.system_state import SystemState
from api.struct_schemas import JsonSchema
from zmart_pipelines.client_schemas import frames
from zmart_pipelines.client_schemas.claims import Claim
from zmart_pipelines.client_schemas.relayed_transactions import RelayedTransaction

_BASE: Final = ("type", "timestamp", "data")
_POSITION: Final = ("channel", "seq")
_FRAME: Final = (*_POSITION, "prev")
_STATE: Final = (*_POSITION, "conflated")


_MEANINGS: Final = {
    "seq": "Position in one sequence over all channels.",
    "prev": "Position before it on the same channel; 0: none.",
}

StructType: TypeAlias = type[msgspec.Struct]


class SentMessage(NamedTuple):
    """A message of the server.

    Attributes:
        name: Its name in the document.
        type: The value of ``type``.
        data: The struct of ``data``.
        summary: What it says.
        members: What it has beside ``type``, ``timestamp`` and ``data``.
        optional: What else it may have.
    """

    name: str
    type: str
    data: StructType
    summary: str
    members: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


# Messages about a connection or a subscription.
CONTROL: Final = (
    SentMessage("welcome", "welcome", protocol.Welcome, "The first message of every socket."),
    SentMessage(
        "subscribed",
        "subscribed",
        Acknowledgement,
        "The subscription holds. `seq` is the channel's newest position.",
        _POSITION,
        ("market_id",),
    ),
    SentMessage(
        "marketSubscribed",
        "market_state",
        MarketAcknowledgement,
        "The subscription holds, on the channels `market:{market_id}` and `markets`.",
        _POSITION,
        ("market_id",),
    ),
    SentMessage(
        "unsubscribed",
        "unsubscribed",
        Acknowledgement,
        "The subscription has ended.",
        ("channel",),
        ("market_id",),
    ),
    SentMessage(
        "marketUnsubscribed",
        "market_state",
        MarketAcknowledgement,
        "The subscription has ended, on the channels `market:{market_id}` and `markets`.",
        ("channel",),
        ("market_id",),
    ),
    SentMessage(
        "authenticated",
        "authenticated",
        Authenticated,
        "The socket acts for the ticket's holder.",
    ),
    SentMessage(
        "subscriptionEnded",
        "unsubscribed",
        SubscriptionEnded,
        "A private subscription has ended, because its session has. The socket stays.",
        ("channel",),
    ),
    SentMessage(
        "reset",
        "reset",
        Reset,
        "Frames were left out: begin again from the snapshot and `seq`.",
        _POSITION,
        ("market_id",),
    ),
    SentMessage(
        "heartbeat", "heartbeat", Heartbeat, "How far each subscribed channel is, every 15 s."
    ),
    SentMessage("pong", "pong", protocol.Pong, "The answer to `ping`."),
    SentMessage("error", "error", protocol.Failure, "The client's message had no effect."),
)

# Frames of channels.
FRAMES: Final = (
    SentMessage(
        "trade",
        "trade",
        frames.TradeFrame,
        "A trade. `market_id` stands beside `data` on the channels of markets.",
        _FRAME,
        ("market_id",),
    ),
    SentMessage(
        "vote",
        "vote",
        frames.VoteFrame,
        "A vote, and the running counts of its kind.",
        (*_FRAME, "market_id"),
    ),
    SentMessage(
        "marketState",
        "market_state",
        frames.MarketStateFrame,
        "A market as it is now.",
        _FRAME,
        ("market_id",),
    ),
    SentMessage(
        "comment",
        "discussion",
        frames.CommentFrame,
        "A comment as it is now.",
        (*_FRAME, "market_id"),
    ),
    SentMessage(
        "prices",
        "prices",
        frames.PricesFrame,
        "All that determines a market's prices now; older ones may have been left out.",
        (*_STATE, "market_id"),
    ),
    SentMessage(
        "position",
        "position",
        frames.PositionFrame,
        "The wallet's position in a market as it is now.",
        _FRAME,
    ),
    SentMessage(
        "claim", "claim", Claim, "A claim of the wallet that is due, or one that was paid.", _FRAME
    ),
    SentMessage(
        "transaction",
        "transaction",
        RelayedTransaction,
        "A transaction that the wallet handed in, as it is now.",
        _FRAME,
    ),
    SentMessage("alert", "alert", frames.AlertFrame, "An alert as it is now.", _FRAME),
    SentMessage(
        "operatorAlert",
        "alert",
        frames.OperatorAlertFrame,
        "An alert as it is now, with its text; to operators.",
        _FRAME,
    ),
    SentMessage(
        "system",
        "system",
        SystemState,
        "The state of the system now. `seq` is no position, but when it was read, in milliseconds"
        " since 1970.",
        _STATE,
    ),
)

SENT: Final = (*CONTROL, *FRAMES)
STRUCTS: Final = (Message, *dict.fromkeys(message.data for message in SENT))


def payload(message: SentMessage, envelope: JsonSchema, data: JsonSchema) -> JsonSchema:
    """Return the schema of a message.

    Args:
        message: The message.
        envelope: The schema of ``Message``.
        data: The schema of its ``data``.
    """
    required = (*_BASE, *message.members)
    properties = {name: envelope["properties"][name] for name in (*required, *message.optional)}
    for name, description in _MEANINGS.items():
        if name in properties:
            properties[name] = {**properties[name], "description": description}
    properties |= {"type": {"type": "string", "const": message.type}, "data": data}
    if "conflated" in properties:
        properties["conflated"] = {"type": "boolean", "const": True}
    return {"type": "object", "properties": properties, "required": list(required)}
