"""The answers to commands that subscribe and unsubscribe."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, UnsetType

from api.realtime import protocol
from api.realtime.channels import MARKETS, Channel
from api.realtime.outgoing import Outgoing
from zmart_pipelines.client_schemas.frames import DisplayedPrices


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`data` of a `subscribed` or `unsubscribed` message.

    `subscriptions` are the channels of this connection now; that of all of a market is named by the
    market's id. `snapshot` is the state as of the message's `seq`, in the shape of REST: present
    where the subscription does not continue from `since`, unless the address was sent too many
    bytes in this minute; then read REST.
    """

    message: str
    subscriptions: list[str]
    snapshot: msgspec.Raw | UnsetType = UNSET


class MarketAcknowledgement(Acknowledgement, frozen=True, kw_only=True, omit_defaults=True):
    """`data` of a `market_state` message that acknowledges a command.

    It is the answer on the channels that older clients know: all of a market, and all markets.
    These clients read every `market_state` as prices, and without them they would show zeros.
    """

    display_price_yes: float | UnsetType = msgspec.field(default=UNSET, name="priceYes")
    display_price_no: float | UnsetType = msgspec.field(default=UNSET, name="priceNo")
    total_shares: int | UnsetType = msgspec.field(default=UNSET, name="totalShares")
    exact: dict[str, str] | UnsetType = UNSET


class SubscriptionEnded(msgspec.Struct, frozen=True):
    """`data` of an `unsubscribed` message that no command asked for.

    `reason` is `session_ended`, or `signed_in_again` where a ticket of another wallet followed.
    """

    reason: str
    message: str


def ended(channel: Channel, reason: str) -> Outgoing:
    """Return the message that a subscription has ended although no command asked for it."""
    data = SubscriptionEnded(reason, f"The subscription to {channel.name} has ended")
    return protocol.reply("unsubscribed", data, channel=channel)


def is_known_to_older_clients(channel: Channel) -> bool:
    """Return whether a channel is acknowledged with a ``market_state``."""
    return channel == MARKETS or (channel.market_id is not None and channel.part is None)


def subscribed(
    channel: Channel,
    subscriptions: Iterable[str],
    seq: int,
    prices: DisplayedPrices | None = None,
    snapshot: msgspec.Raw | UnsetType = UNSET,
) -> Outgoing:
    """Return the answer to ``subscribe``.

    Args:
        channel: That was subscribed to.
        subscriptions: The names of all channels of the connection.
        seq: The channel's newest position.
        prices: Of the channel's market.
        snapshot: The state as of ``seq``, as JSON.
    """
    return _answer("Subscribed to", channel, subscriptions, prices, seq, snapshot)


def unsubscribed(
    channel: Channel, subscriptions: Iterable[str], prices: DisplayedPrices | None = None
) -> Outgoing:
    """Return the answer to ``unsubscribe``; the arguments are those of ``subscribed``."""
    return _answer("Unsubscribed from", channel, subscriptions, prices)


def _answer(
    verb: str,
    channel: Channel,
    subscriptions: Iterable[str],
    prices: DisplayedPrices | None,
    seq: int | UnsetType = UNSET,
    snapshot: msgspec.Raw | UnsetType = UNSET,
) -> Outgoing:
    names = [_listed(name) for name in subscriptions]
    if not is_known_to_older_clients(channel):
        data = Acknowledgement(
            message=f"{verb} {channel.name}", subscriptions=names, snapshot=snapshot
        )
        return protocol.reply(verb.partition(" ")[0].lower(), data, channel=channel, seq=seq)
    shown = {} if prices is None else msgspec.structs.asdict(prices)
    data = MarketAcknowledgement(
        message=f"{verb} market {_listed(channel.name)}",
        subscriptions=names,
        snapshot=snapshot,
        **shown,
    )
    return protocol.reply("market_state", data, channel=channel, seq=seq)


def _listed(name: str) -> str:
    """Return a channel's name as clients read it in ``subscriptions``: a market's is its id."""
    prefix, _, subject = name.partition(":")
    return subject if prefix == "market" and ":" not in subject else name
