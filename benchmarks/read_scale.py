"""What lists, searches and sorts cost with 100,000 markets, against the same with 1,000.

Cost is processor time of the API, Postgres and Redis for one request, which other work on the
machine hardly changes. Each database has an API of its own; their windows alternate.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import quote

from benchmarks.http_load import generator
from benchmarks.read_rows import FULL, PAGES, QUICK, Effort
from benchmarks.read_server import ReadServer, Side
from benchmarks.read_world import ReadWorld, in_turns, read_world
from benchmarks.rows import Row

GOAL_LIST_COST: Final = 1.3
GOAL_P99: Final = 50.0
GOAL_COST: Final = 3.0
SMALL: Final = 1000
LARGE: Final = 100_000
CONNECTIONS: Final = 4

# A word of nearly all markets, some of many, a prefix, rarer combinations, a word of none.
TEXTS: Final = (
    "independent",
    "bitcoin",
    "record",
    "comm",
    "solana approved",
    "ferry harvest",
    "xq",
)
SORTS: Final = (
    *("newest", "ending", "volume", "volume_24h", "liquidity", "trending", "closest_vote"),
)
_SEARCHES: Final = [f"/api/markets?limit=20&q={quote(text)}" for text in TEXTS]
_SORTED: Final = [f"/api/markets?limit=20&sort={sort}" for sort in SORTS]


class Two(NamedTuple):
    """A world with an API on few markets and one on many."""

    world: ReadWorld
    few: ReadServer
    many: ReadServer


class Costs(NamedTuple):
    """The sides of both."""

    few: Side
    many: Side

    @property
    def growth(self) -> float:
        """Return the cost with many markets by that with few."""
        return self.many.cpu / self.few.cpu


@contextmanager
def two_sizes(small: int, large: int) -> Iterator[Two]:
    """Yield a world with databases of both sizes."""
    with read_world() as world:
        few, many = (
            world.api(world.markets(count))._replace(name=f"{count:,} markets")
            for count in (small, large)
        )
        yield Two(world, few, many)


def costs(two: Two, paths: Sequence[str], much: Effort) -> Costs:
    """Measure the paths with few and with many markets."""
    few, many = in_turns(
        [(two.few, paths), (two.many, paths)],
        two.world.stores,
        rounds=much.rounds,
        seconds=much.seconds,
        connections=CONNECTIONS,
    )
    return Costs(few, many)


def api_list_cost(quick: bool) -> Row:
    """Measure the growth of the list's cost."""
    found = _measured(quick)["list"]
    value = round(found.growth, 2)
    ok = value <= GOAL_LIST_COST
    return Row("api_list_cost", value, "times the cost", GOAL_LIST_COST, _text(found), ok)


def api_search(quick: bool) -> Row:
    """Measure the 99th percentile of searches among many markets."""
    return _within("api_search", _measured(quick)["search"])


def api_sorted(quick: bool) -> Row:
    """Measure the 99th percentile of sorted lists of many markets."""
    return _within("api_sorted", _measured(quick)["sorted"])


@cache
def _measured(quick: bool) -> dict[str, Costs]:
    # One world for all rows, because many markets take long to store.
    much = QUICK if quick else FULL
    with two_sizes(SMALL // 10 if quick else SMALL, LARGE // 10 if quick else LARGE) as two:
        return {
            "list": costs(two, PAGES, much),
            "search": costs(two, _SEARCHES, much),
            "sorted": costs(two, _SORTED, much),
        }


def _within(name: str, found: Costs) -> Row:
    value = round(found.many.p99 * 1e3, 1)
    ok = value < GOAL_P99 and found.growth <= GOAL_COST
    text = f"{found.growth:.2f} times the cost (goal {GOAL_COST:g}); {_text(found)}"
    return Row(name, value, f"ms, p99 with {LARGE:,} markets", GOAL_P99, text, ok)


def _text(found: Costs) -> str:
    return "; ".join(
        [
            found.many.text(),
            found.few.text(),
            f"CPU: server + Postgres + Redis; medians of {len(found.few.windows)} windows in turns",
            f"{generator()}, {CONNECTIONS} connections",
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )
