"""From chain accounts and ballots to intents: what must become true on chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, Engine

from zmart_pipelines.ipfs.pins import PinStore
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions.intents import Intent

if TYPE_CHECKING:
    from zmart_pipelines.chain.reader import ChainReader


class Due(msgspec.Struct, frozen=True):
    """What seems to be due by the tables alone, for sensors: market ids by action, and how
    many intents are open. Nothing is decided by it.
    """

    aggregations: tuple[bytes, ...]
    finalizations: tuple[bytes, ...]
    open_intents: int

    def __bool__(self) -> bool:
        return bool(self.aggregations or self.finalizations or self.open_intents)


def due(conn: Connection, settings: Settings, *, chain_time: int) -> Due:
    """What a run would find to do at ``chain_time`` (chain seconds). No chain access."""
    raise NotImplementedError


def plan(
    engine: Engine,
    reader: ChainReader,
    settings: Settings,
    *,
    pins: PinStore | None = None,
) -> list[Intent]:
    """Decides for every market that may be due and returns the intents created now.

    Reads markets, configuration, clock and vote records at finalized; freezes tallies, pins
    their bundles, writes the intents, raises and clears alerts. Safe to repeat and to run
    twice at once: an intent is unique per market, action and round.
    """
    raise NotImplementedError
