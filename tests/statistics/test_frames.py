"""The pandas functions against the same said in plain Python, beyond what floats can hold."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.statistics import frames
from zmart_pipelines.statistics.candles import candles
from zmart_pipelines.statistics.markets import DAY, market_statistics, price_change_bps

MARKETS = [bytes([number]) * 32 for number in range(3)]
USERS = [bytes([number]) * 32 for number in range(100, 104)]
U64 = 2**64 - 1


class Trade(NamedTuple):
    """The columns of ``frames.TRADES``."""

    market_id: bytes
    user: bytes
    buys: bool
    cost: int
    price_yes: int
    traded_at: int
    slot: int
    index_in_block: int
    signature: bytes
    log_index: int


amounts = st.one_of(st.integers(2**53 - 2, 2**53 + 2), st.integers(0, U64), st.just(U64))
trades = st.lists(
    st.builds(
        Trade,
        st.sampled_from(MARKETS),
        st.sampled_from(USERS),
        st.booleans(),
        amounts,
        st.integers(0, PRECISION),
        st.one_of(st.integers(0, 3 * DAY), st.integers(1_789_999_900, 1_790_000_100)),
        st.integers(1, 4),
        st.integers(0, 2),
        st.binary(min_size=1, max_size=2),
        st.integers(0, 3),
    ),
    max_size=40,
    unique_by=lambda one: (one.slot, one.index_in_block, one.signature, one.log_index),
)


def in_order(given: list[Trade]) -> list[Trade]:
    return sorted(given, key=lambda t: (t.slot, t.index_in_block, t.signature, t.log_index))


def only_python(rows: list[dict[str, Any]]) -> None:
    """No integer of pandas' own, no float, no NaN: the database would get them wrongly."""
    for row in rows:
        for name, value in row.items():
            assert type(value) in (int, bytes, bool, type(None)), (name, value)


@settings(max_examples=60)
@given(trades, st.sampled_from([1, 60, 300, 3_600, DAY]))
def test_candles_equal_a_plain_loop(made: list[Trade], seconds: int) -> None:
    expected: dict[tuple[bytes, int], list[Trade]] = defaultdict(list)
    for one in in_order(made):
        expected[one.market_id, one.traded_at - one.traded_at % seconds].append(one)
    rows = frames.records(candles(frames.trades(made), seconds))
    only_python(rows)
    assert rows == [
        {
            "market_id": market_id,
            "starts_at": starts_at,
            "open": group[0].price_yes,
            "high": max(one.price_yes for one in group),
            "low": min(one.price_yes for one in group),
            "close": group[-1].price_yes,
            "volume": sum(one.cost for one in group),
            "trades": len(group),
        }
        for (market_id, starts_at), group in sorted(expected.items())
    ]


@settings(max_examples=60)
@given(trades, st.integers(0, 2 * DAY))
def test_market_statistics_equal_a_plain_loop(made: list[Trade], later: int) -> None:
    now = max((one.traded_at for one in made), default=0) + later
    rows = frames.records(market_statistics(MARKETS, frames.trades(made), now))
    only_python(rows)
    assert [row["market_id"] for row in rows] == MARKETS
    for row in rows:
        mine = [one for one in in_order(made) if one.market_id == row["market_id"]]
        day = [one for one in mine if one.traded_at > now - DAY]
        before = [one for one in mine if one.traded_at <= now - DAY]
        price = mine[-1].price_yes if mine else PRECISION // 2
        day_ago = before[-1].price_yes if before else PRECISION // 2
        assert row == {
            "market_id": row["market_id"],
            "total_trades": len(mine),
            "unique_traders": len({one.user for one in mine}),
            "total_volume": sum(one.cost for one in mine),
            "buy_volume": sum(one.cost for one in mine if one.buys),
            "sell_volume": sum(one.cost for one in mine if not one.buys),
            "volume_24h": sum(one.cost for one in day),
            "traders_24h": len({one.user for one in day}),
            "price_yes": price,
            "price_24h_ago": day_ago,
            "price_change_bps": price_change_bps(day_ago, price),
            "last_trade_at": max((one.traded_at for one in mine), default=None),
            "as_of": now,
            "valid_until": min((one.traded_at + DAY for one in day), default=None),
        }


@settings(max_examples=60)
@given(trades, st.integers(1, 3 * DAY))
def test_figures_are_valid_exactly_until_valid_until(made: list[Trade], wait: int) -> None:
    def figures(now: int) -> list[dict[str, Any]]:
        changing = ("as_of", "valid_until")
        rows = frames.records(market_statistics(MARKETS, frames.trades(made), now))
        return [{k: v for k, v in row.items() if k not in changing} for row in rows]

    now = max((one.traded_at for one in made), default=0)
    until = frames.records(market_statistics(MARKETS, frames.trades(made), now))
    for before, row, later in zip(figures(now), until, figures(now + wait), strict=True):
        if row["valid_until"] is None or now + wait < row["valid_until"]:
            assert before == later
    for row in until:
        if row["valid_until"] is not None:
            last = market_statistics(MARKETS, frames.trades(made), row["valid_until"] - 1)
            after = market_statistics(MARKETS, frames.trades(made), row["valid_until"])
            at = MARKETS.index(row["market_id"])
            costs = last["volume_24h"][at], after["volume_24h"][at]
            assert costs[0] >= costs[1]
            assert last["valid_until"][at] == row["valid_until"] != after["valid_until"][at]


def test_price_changes_are_rounded_down() -> None:
    assert price_change_bps(PRECISION // 2, PRECISION * 3 // 4) == 5000
    assert price_change_bps(3, 2) == -3334
    assert price_change_bps(0, 5) is None
