"""The channels of the live updates: their names, and where the frames of each come from.

====================================  =========================================================
``market:{id}``                       everything of a market: state, trades, votes, discussion
``market:{id}:state`` …               its frames of one type: state, trades, votes, discussion
``market:{id}:prices``                its newest prices, conflated
``markets``                           the state of all markets
``wallet:{address}``                  what belongs to a wallet; private
``alerts``                            alerts; operators receive them all, with their texts
``system``                            lag, breakers and switches, conflated
====================================  =========================================================

A conflated channel's frames hold the whole state, and older ones may be left out. Every frame of
the others is delivered, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from api.errors import ApiError, invalid
from api.requests import identifiers
from zmart_pipelines.store.stream import (
    ALERTS_CHANNEL,
    MARKETS_CHANNEL,
    OPERATOR_ALERTS_CHANNEL,
    market_channel,
    wallet_channel,
)
from zmart_pipelines.store.stream_sources import Source

_MARKET: Final = "market"
_WALLET: Final = "wallet"
PRICES: Final = "prices"
# The parts of a market's channel and the types of their frames.
PART_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "state": "market_state",
        "trades": "trade",
        "votes": "vote",
        "discussion": "discussion",
        PRICES: "market_state",
    }
)
_FORMS: Final = (
    "market:{id}, market:{id}:" + "|".join(PART_TYPES) + ", markets, wallet:{address}, alerts"
    " or system"
)


class Channel(msgspec.Struct, frozen=True):
    """What a client subscribes to.

    Attributes:
        name: As clients know it.
        source: The stored frames that it delivers, or that its states are derived from; None
            where there are none.
        is_conflated: Whether its frames hold the whole state and only the newest counts.
        market_id: The market it belongs to.
        part: The part of the market's channel; None for all of it.
        wallet: The wallet it belongs to, who alone may subscribe to it.
    """

    name: str
    source: Source | None
    is_conflated: bool = False
    market_id: bytes | None = None
    part: str | None = None
    wallet: bytes | None = None


MARKETS: Final = Channel(MARKETS_CHANNEL, Source(MARKETS_CHANNEL))
ALERTS: Final = Channel(ALERTS_CHANNEL, Source(ALERTS_CHANNEL))
# What operators receive as ``alerts``.
OPERATOR_ALERTS: Final = Channel(ALERTS_CHANNEL, Source(OPERATOR_ALERTS_CHANNEL))
SYSTEM: Final = Channel("system", None, is_conflated=True)
_SINGLE: Final = MappingProxyType({one.name: one for one in (MARKETS, ALERTS, SYSTEM)})


def of_market(market_id: bytes, part: str | None = None) -> Channel:
    """Return the channel of a market, or of a part of it (a key of ``PART_TYPES``)."""
    stored = market_channel(market_id)
    if part is None:
        return Channel(stored, Source(stored), market_id=market_id)
    return Channel(
        f"{stored}:{part}",
        Source(stored, PART_TYPES[part]),
        is_conflated=part == PRICES,
        market_id=market_id,
        part=part,
    )


def of_wallet(wallet: bytes) -> Channel:
    """Return the channel of a wallet."""
    name = wallet_channel(wallet)
    return Channel(name, Source(name), wallet=wallet)


def parse(text: str, field: str = "channel") -> Channel:
    """Return the channel that a client names.

    A market may be named by its id or its address; older clients name the channel of a market by
    that alone. ``Hub.located`` makes an id of an address.

    Raises:
        ApiError: 400 naming ``field``.
    """
    if text in _SINGLE:
        return _SINGLE[text]
    scope, separator, subject = text.partition(":")
    if not separator:
        return of_market(_market_key(text, field))
    if scope == _WALLET:
        return of_wallet(identifiers.wallet(subject, field))
    name, separator, part = subject.partition(":")
    if scope != _MARKET or (separator and part not in PART_TYPES):
        raise invalid(field, f"must be {_FORMS}")
    return of_market(_market_key(name, field), part or None)


def _market_key(text: str, field: str) -> bytes:
    try:
        return identifiers.market_key(text, field)
    except ApiError:
        if field == "channel":
            raise invalid(field, f"must be {_FORMS}") from None
        raise
