"""The configuration's history, folded from its events. Pure.

The program reads fees and windows when it executes, so the configuration at a trade's place in
the chain decides what the trade paid.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from zmart_pipelines.program.events import (
    ConfigUpdated,
    Event,
    GlobalConfigInitialized,
    ProtocolPauseStatusChanged,
)
from zmart_pipelines.program.lmsr import DEFAULT_FEES, Fees

CONFIG_EVENTS: Final = (GlobalConfigInitialized, ConfigUpdated, ProtocolPauseStatusChanged)

# Sorts after every known index of its slot, until a reading contains the true one.
UNKNOWN_INDEX: Final = 2**31 - 1


class Place(NamedTuple):
    """An event's place in the chain. The signature only separates unknown indices."""

    slot: int
    index_in_block: int
    signature: bytes
    log_index: int


class Configuration(msgspec.Struct, frozen=True, gc=False):
    """What the program reads from GlobalConfig, with the defaults it initializes.

    Fees (``*_bps``) and thresholds are in basis points, delays and periods in seconds.
    """

    protocol_fee_bps: int = DEFAULT_FEES.protocol_bps
    resolver_reward_bps: int = DEFAULT_FEES.resolver_bps
    liquidity_provider_fee_bps: int = DEFAULT_FEES.lp_bps
    proposal_approval_threshold: int = 7000
    dispute_success_threshold: int = 6000
    min_resolution_delay: int = 86_400
    dispute_period: int = 259_200
    is_paused: bool = False

    @property
    def fees(self) -> Fees:
        """The fees of a trade."""
        return Fees(
            self.protocol_fee_bps, self.resolver_reward_bps, self.liquidity_provider_fee_bps
        )


DEFAULT: Final = Configuration()


class Change(msgspec.Struct, frozen=True):
    """The whole configuration after one of its events."""

    place: Place
    changed_at: int
    configuration: Configuration


def apply(configuration: Configuration, event: Event) -> Configuration:
    """Return the configuration after ``event`` (unchanged by events of markets)."""
    if isinstance(event, GlobalConfigInitialized):
        return Configuration(protocol_fee_bps=event.protocol_fee_bps)
    if isinstance(event, ConfigUpdated):
        return msgspec.structs.replace(
            configuration,
            protocol_fee_bps=event.protocol_fee_bps,
            resolver_reward_bps=event.resolver_reward_bps,
            liquidity_provider_fee_bps=event.liquidity_provider_fee_bps,
            proposal_approval_threshold=event.proposal_approval_threshold,
            dispute_success_threshold=event.dispute_success_threshold,
            min_resolution_delay=_value_or_default(
                event.min_resolution_delay, configuration.min_resolution_delay
            ),
            dispute_period=_value_or_default(event.dispute_period, configuration.dispute_period),
        )
    if isinstance(event, ProtocolPauseStatusChanged):
        return msgspec.structs.replace(configuration, is_paused=event.is_paused)
    return configuration


def _value_or_default(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def fold(events: Iterable[tuple[Place, Event]]) -> list[Change]:
    """Fold the history from its events, given in any order."""
    changes: list[Change] = []
    configuration = DEFAULT
    for place, event in sorted(events, key=lambda item: item[0]):
        if isinstance(event, CONFIG_EVENTS):
            configuration = apply(configuration, event)
            changes.append(Change(place, event.timestamp, configuration))
    return changes


class Timeline:
    """Looks up the configuration in force at any place."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._changes = sorted(changes, key=lambda change: change.place)
        self._places = [change.place for change in self._changes]

    def at(self, place: Place) -> Configuration:
        """Return what was in force there: before the first known change, the defaults."""
        number = bisect_right(self._places, place)
        return self._changes[number - 1].configuration if number else DEFAULT


def history_hash(changes: Iterable[Change]) -> str:
    """Return the SHA-256 of a history, in hex; the order of ``changes`` does not matter."""
    ordered = sorted(changes, key=lambda change: change.place)
    return sha256(msgspec.msgpack.encode(ordered)).hexdigest()
