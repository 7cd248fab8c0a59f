"""Longer candles from shorter ones, and stored ones continued by newer trades."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.statistics.candle_series import (
    SCALES,
    Interval,
    continued,
    made_of,
    mirrored,
    without_gaps,
)
from zmart_pipelines.store.queries.candles import Candle
from zmart_pipelines.store.tables.statistics import INTERVALS

START = 1_790_000_000
Traded = list[tuple[int, int, int]]

trades = st.lists(
    st.tuples(st.integers(0, 3 * 604_800), st.integers(0, PRECISION), st.integers(0, 2**64 - 1)),
    max_size=40,
).map(sorted)
names = st.sampled_from(sorted(SCALES))


def candles_of(rows: Traded, interval: Interval) -> list[Candle]:
    """Candles of (time, price, cost) in order, from them alone."""
    found: dict[int, Traded] = {}
    for row in rows:
        starts_at = interval.start_of(START + row[0])
        found.setdefault(starts_at, []).append(row)
    return [
        Candle(
            starts_at,
            group[0][1],
            max(price for _, price, _ in group),
            min(price for _, price, _ in group),
            group[-1][1],
            sum(cost for *_, cost in group),
            len(group),
        )
        for starts_at, group in sorted(found.items())
    ]


@given(trades, names, st.integers(0, 40))
def test_series_is_that_of_all_trades(rows: Traded, name: str, known: int) -> None:
    """Whatever part of the trades is stored, longer candles are exactly those of all trades."""
    interval = SCALES[name]
    parts = Interval(interval.stored, INTERVALS[interval.stored])
    series = continued(candles_of(rows[:known], parts), candles_of(rows[known:], parts))
    assert series == candles_of(rows, parts)
    assert made_of(series, interval) == candles_of(rows, interval)


@given(trades, names)
def test_filled_series_has_every_interval_once(rows: Traded, name: str) -> None:
    interval = SCALES[name]
    found = candles_of(rows, interval)
    first = interval.start_of(START)
    starts = range(first, first + 60 * interval.seconds, interval.seconds)
    series = without_gaps(found, starts, 7)
    assert [candle.starts_at for candle in series] == list(starts)
    assert [candle for candle in series if candle.trades] == [
        candle for candle in found if candle.starts_at in starts
    ]
    close = 7
    for candle in series:
        if not candle.trades:
            assert (candle.open, candle.high, candle.low, candle.close) == (close,) * 4
        close = candle.close


@given(trades, names)
def test_no_is_the_rest_of_the_price(rows: Traded, name: str) -> None:
    rest = [(time, PRECISION - price, cost) for time, price, cost in rows]
    interval = SCALES[name]
    assert [mirrored(candle) for candle in candles_of(rows, interval)] == candles_of(rest, interval)


@pytest.mark.parametrize("name", sorted(SCALES))
def test_intervals_start_at_whole_times_of_utc(name: str) -> None:
    interval = SCALES[name]
    assert interval.seconds % INTERVALS[interval.stored] == 0
    assert interval.parts * INTERVALS[interval.stored] == interval.seconds
    start = datetime.fromtimestamp(interval.start_of(START), UTC)
    assert (start.second, start.minute % (interval.seconds // 60)) == (0, 0)
    if name == "1w":
        assert (start.weekday(), start.hour) == (0, 0)
    moment = int(start.timestamp())
    assert interval.first_start(moment) == moment
    assert interval.first_start(moment + 1) == moment + interval.seconds
    assert interval.start_of(moment + interval.seconds - 1) == moment
