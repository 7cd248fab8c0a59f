"""Candles of any length from stored ones and newer trades; gaps, and the side of NO. Pure.

Candles of 1m, 5m, 1h and 1d are stored. Longer ones are made of them: each contains a whole
number of shorter ones, so that nothing is approximated. Weeks begin on Monday, 00:00 UTC. Making
them when they are read costs about a millisecond for a hundred; storing them would cost every
refresh and every check of the stored ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Final

import msgspec

from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.store.queries.candles import Candle
from zmart_pipelines.store.tables.statistics import INTERVALS

# 1970-01-05 was the first Monday of Unix time.
_MONDAY: Final = 4 * 86_400


class Interval(msgspec.Struct, frozen=True):
    """A length of candles.

    Attributes:
        stored: The name of the stored candles that it is made of.
        seconds: Its length, a multiple of theirs.
        offset: Candles start at ``offset`` and whole lengths after or before it.
    """

    stored: str
    seconds: int
    offset: int = 0

    @property
    def parts(self) -> int:
        """The number of stored candles in one of these."""
        return self.seconds // INTERVALS[self.stored]

    def start_of(self, moment: int) -> int:
        """Return when the interval that contains ``moment`` (chain seconds) starts."""
        return moment - (moment - self.offset) % self.seconds

    def first_start(self, moment: int) -> int:
        """Return the first start of an interval that is not before ``moment``."""
        return self.start_of(moment + self.seconds - 1)


_STORED: Final = {name: Interval(name, seconds) for name, seconds in INTERVALS.items()}
SCALES: Final = MappingProxyType(
    _STORED
    | {
        "15m": Interval("5m", 900),
        "4h": Interval("1h", 14_400),
        "1w": Interval("1d", 604_800, _MONDAY),
    }
)


def continued(stored: Sequence[Candle], newer: Iterable[Candle]) -> list[Candle]:
    """Return stored candles continued by candles of trades after all of theirs, in time order."""
    found = {candle.starts_at: candle for candle in stored}
    for candle in newer:
        begun = found.get(candle.starts_at)
        found[candle.starts_at] = candle if begun is None else _joined([begun, candle])
    return [found[starts_at] for starts_at in sorted(found)]


def made_of(parts: Iterable[Candle], interval: Interval) -> list[Candle]:
    """Return candles of ``interval`` made of shorter ones, which are in time order."""
    groups = groupby(parts, lambda candle: interval.start_of(candle.starts_at))
    return [
        msgspec.structs.replace(_joined(list(group)), starts_at=starts_at)
        for starts_at, group in groups
    ]


def _joined(parts: Sequence[Candle]) -> Candle:
    """Return one candle of candles in the order of their trades."""
    return Candle(
        starts_at=parts[0].starts_at,
        open=parts[0].open,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=sum(part.volume for part in parts),
        trades=sum(part.trades for part in parts),
    )


def without_gaps(found: Iterable[Candle], starts: range, previous_close: int) -> list[Candle]:
    """Return a candle for each of ``starts``: flat at the last close where nothing was traded."""
    traded = {candle.starts_at: candle for candle in found}
    series = []
    close = previous_close
    for starts_at in starts:
        candle = traded.get(starts_at)
        if candle is None:
            candle = Candle(starts_at, close, close, close, close, 0, 0)
        series.append(candle)
        close = candle.close
    return series


def mirrored(candle: Candle) -> Candle:
    """Return a candle of YES as the one of NO, or the reverse; the two prices add up to 1."""
    return msgspec.structs.replace(
        candle,
        open=PRECISION - candle.open,
        high=PRECISION - candle.low,
        low=PRECISION - candle.high,
        close=PRECISION - candle.close,
    )
