"""Hot reads against Express servers: list, detail, health, and a list with a second's cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from benchmarks.equal_answers import differences
from benchmarks.http_load import generator
from benchmarks.read_server import ReadServer, Side, ratio
from benchmarks.read_world import CONNECTIONS, WRITES, Markets, ReadWorld, in_turns, read_world
from benchmarks.rows import Row

GOAL_LIST: Final = 4.0
GOAL_EQUAL: Final = 1.5
GOAL_DETAIL: Final = 3.0
GOAL_COALESCED: Final = 10.0
GOAL_COALESCED_EQUAL: Final = 2.0
GOAL_HEALTH: Final = 1.0
MARKETS: Final = 10_000
PAGES: Final = [f"/api/markets?limit=20&offset={offset}" for offset in range(0, 80, 20)]
_DETAILS: Final = 1000
_COMPARED: Final = 20  # answers, before the load


class Effort(NamedTuple):
    """Windows of each side, and the seconds of one."""

    rounds: int
    seconds: float


Benchmark: TypeAlias = Callable[[ReadWorld, Markets, Effort], Row]

FULL: Final = Effort(7, 3)
QUICK: Final = Effort(1, 1)


def require_equal(ours: ReadServer, theirs: ReadServer, paths: Sequence[str]) -> None:
    """Raise AssertionError if the two servers answer differently."""
    for path in paths:
        found = differences(ours.get(path), theirs.get(path))
        if found:
            raise AssertionError(f"{theirs.name} answers {path} differently: {found[:5]}")


def api_list(world: ReadWorld, markets: Markets, much: Effort) -> Row:
    """Measure always fresh pages of 20 markets against a plain Express."""
    servers = [world.api(markets), world.express("plain", markets)]
    ours, plain = _compared(world, markets, servers, PAGES, much)
    value = ratio(ours, plain)
    ok = value >= GOAL_LIST and ours.p99 < plain.p99
    return _row("api_list", value, GOAL_LIST, [ours, plain], ok)


def api_list_equal(world: ReadWorld, markets: Markets, much: Effort) -> Row:
    """Measure the same against an Express with the same ideas."""
    servers = [world.api(markets), world.express("memoised", markets)]
    ours, memoised = _compared(world, markets, servers, PAGES, much)
    value = ratio(ours, memoised)
    return _row("api_list_equal", value, GOAL_EQUAL, [ours, memoised], value >= GOAL_EQUAL)


def api_detail(world: ReadWorld, markets: Markets, much: Effort) -> Row:
    """Measure single markets against a plain Express."""
    paths = [f"/api/markets/{one}" for one in markets.ids(_DETAILS)]
    servers = [world.api(markets), world.express("plain", markets)]
    ours, plain = _compared(world, markets, servers, paths, much)
    value = ratio(ours, plain)
    return _row("api_detail", value, GOAL_DETAIL, [ours, plain], value >= GOAL_DETAIL)


def api_coalesced(world: ReadWorld, markets: Markets, much: Effort) -> Row:
    """Measure one page that a second's requests share, against Express without and with that."""
    rivals = [world.express("plain", markets), world.express("cached", markets)]
    servers = [world.api(markets, shared_seconds=1), *rivals]
    ours, plain, cached = _compared(world, markets, servers, PAGES[:1], much)
    value, equal = ratio(ours, plain), ratio(ours, cached)
    ok = value >= GOAL_COALESCED and equal >= GOAL_COALESCED_EQUAL
    note = f"{equal:.2f} times Express with the same cache (goal {GOAL_COALESCED_EQUAL:g})"
    return _row("api_coalesced", value, GOAL_COALESCED, [ours, plain, cached], ok, note)


def health(world: ReadWorld, markets: Markets, much: Effort) -> Row:
    """Measure the health of a process and its database against ``SELECT 1``."""
    servers = [world.api(markets), world.express("plain", markets)]
    ours, plain = _turns(world, servers, ["/health"], much)
    value = ratio(ours, plain)
    return _row("health", value, GOAL_HEALTH, [ours, plain], value >= GOAL_HEALTH)


def on_many_markets(
    row: Benchmark,
) -> Callable[[bool], Row]:
    """Return the benchmark of a row in a world of its own; a quick one has fewer markets."""

    def benchmark(quick: bool) -> Row:
        much = QUICK if quick else FULL
        with read_world() as world:
            return row(world, world.markets(MARKETS // 10 if quick else MARKETS), much)

    return benchmark


def _compared(
    world: ReadWorld,
    markets: Markets,
    servers: Sequence[ReadServer],
    paths: Sequence[str],
    much: Effort,
) -> list[Side]:
    """Return the servers' sides, after a comparison of the first one's answers with the others'."""
    for rival in servers[1:]:
        require_equal(servers[0], rival, paths[:_COMPARED])
    with markets.changing():
        return _turns(world, servers, paths, much)


def _turns(
    world: ReadWorld, servers: Sequence[ReadServer], paths: Sequence[str], much: Effort
) -> list[Side]:
    loads = [(server, paths) for server in servers]
    return in_turns(loads, world.stores, rounds=much.rounds, seconds=much.seconds)


def _row(
    name: str, value: float, goal: float, sides: Sequence[Side], ok: bool, note: str = ""
) -> Row:
    text = "; ".join(
        [
            *([note] if note else []),
            *(side.text() for side in sides),
            f"CPU: server + Postgres + Redis; medians of {len(sides[0].windows)} windows in turns",
            f"{generator()}, {CONNECTIONS} connections, {WRITES} changed markets/s beside",
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )
    return Row(name, round(value, 2), "times the requests/s", goal, text, ok)
