"""Each row of the read benchmarks runs, and compares what the servers answer."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from benchmarks import read_rows
from benchmarks.read_rows import QUICK, require_equal
from benchmarks.read_scale import Two, costs
from benchmarks.read_world import Markets, ReadWorld, read_world

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def world() -> Iterator[ReadWorld]:
    with read_world() as made:
        yield made


@pytest.fixture(scope="module")
def markets(world: ReadWorld) -> Markets:
    return world.markets(300)


@pytest.mark.parametrize(
    "row",
    [
        read_rows.api_list,
        read_rows.api_list_equal,
        read_rows.api_detail,
        read_rows.api_coalesced,
        read_rows.health,
    ],
)
def test_row_is_measured_against_equal_answers(
    row: read_rows.Benchmark, world: ReadWorld, markets: Markets
) -> None:
    measured = row(world, markets, QUICK)
    assert measured.value is not None
    assert measured.value > 0


def test_rival_that_answers_differently_fails_the_comparison(
    world: ReadWorld, markets: Markets
) -> None:
    newest = markets.ids(1)[0]
    api, plain = world.api(markets), world.express("plain", markets)
    require_equal(api, plain, [f"/api/markets/{newest}"])
    # The rival alone reads this column.
    change = "UPDATE market.markets SET creator_text = %s WHERE market_id = decode(%s, 'hex')"
    with psycopg.connect(markets.owner) as connection:
        connection.execute(change, ["another", newest])
    with pytest.raises(AssertionError, match="'another'"):
        require_equal(api, plain, [f"/api/markets/{newest}"])


def test_cost_of_few_and_many_markets_is_compared(world: ReadWorld, markets: Markets) -> None:
    two = Two(world, world.api(world.markets(30)), world.api(markets))
    assert costs(two, read_rows.PAGES, QUICK).growth > 0
