"""Read a page of candles that agrees with the trades at the moment of reading."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.statistics.candle_series import Interval, continued, made_of, without_gaps
from zmart_pipelines.store.queries.candles import Candle, candles_of_market
from zmart_pipelines.store.queries.newest_trades import (
    candles_of_newest_trades,
    price_before,
    trades_without_candles,
)
from zmart_pipelines.store.tables.statistics import INTERVALS

# Later than any trade.
_END: Final = 2**63 - 1


class Window(msgspec.Struct, frozen=True):
    """Which candles: at most ``limit`` of those that start in ``[start, end)``, the last ones.

    Times are chain seconds; None: not bounded.
    """

    start: int | None
    end: int | None
    limit: int


class CandlePage(msgspec.Struct, frozen=True):
    """Candles, oldest first.

    Attributes:
        previous_close: The price of YES (9 decimals) before the first candle, or before the
            window where it has none.
        more: Whether the window has older candles.
    """

    candles: list[Candle]
    previous_close: int
    more: bool


def traded_candles(
    conn: Connection, market_id: bytes, interval: Interval, window: Window
) -> CandlePage:
    """Return the candles of the intervals in which the market was traded."""
    found = _traded(conn, market_id, interval, window, window.limit + 1)
    if len(found) > window.limit > 0:
        return CandlePage(found[1:], found[0].close, more=True)
    shown = found[: window.limit]
    before = _END if window.end is None else interval.first_start(window.end)
    if window.start is not None:
        before = interval.first_start(window.start)
    if shown:
        before = shown[0].starts_at
    return CandlePage(shown, price_before(conn, market_id, before), more=False)


def all_candles(
    conn: Connection, market_id: bytes, interval: Interval, window: Window, *, since: int, now: int
) -> CandlePage:
    """Return a candle for every interval from ``since`` to ``now``: flat ones without trades."""
    step = interval.seconds
    end = interval.start_of(now) + step
    if window.end is not None:
        end = min(end, interval.first_start(window.end))
    oldest = interval.start_of(since)
    if window.start is not None:
        oldest = max(oldest, interval.first_start(window.start))
    first = max(oldest, end - window.limit * step)
    starts = range(first, end, step)
    previous = price_before(conn, market_id, first)
    if not starts:
        return CandlePage([], previous, more=False)
    part = Window(first, end, window.limit)
    traded = _traded(conn, market_id, interval, part, len(starts))
    return CandlePage(without_gaps(traded, starts, previous), previous, more=first > oldest)


def _traded(
    conn: Connection, market_id: bytes, interval: Interval, window: Window, limit: int
) -> list[Candle]:
    """Return the last ``limit`` candles of a window: stored ones, continued up to now."""
    start = None if window.start is None else interval.first_start(window.start)
    end = None if window.end is None else interval.first_start(window.end)
    # So many parts hold at least ``limit`` whole candles.
    parts = limit * interval.parts
    lacking = trades_without_candles(conn, market_id)
    stored: list[Candle] = []
    if lacking is not None:
        stored = candles_of_market(
            conn, market_id, interval.stored, start=start, end=end, limit=parts
        )
    newer = candles_of_newest_trades(
        conn,
        market_id,
        INTERVALS[interval.stored],
        count=lacking,
        start=start,
        end=end,
        limit=parts,
    )
    return made_of(continued(stored, newer)[-parts:], interval)[-limit:]
