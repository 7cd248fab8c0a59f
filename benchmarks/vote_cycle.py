"""What a vote cycle costs beside idle markets: two scans of the sensors around a plan.

Two databases follow one local chain. In each round ten proposals get ten ballots each, in
both; then each runs a cycle, which freezes, bundles, pins and plans the ten. One database
holds 90 other markets, the other 9,990; these need nothing.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import text

from benchmarks.database import databases
from benchmarks.processes import cpu_of
from benchmarks.rows import Row
from tests.fixtures.localnet import Localnet
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.submissions.due_markets import scan_due_markets
from zmart_pipelines.submissions.statuses import PROPOSAL_ACTIONS, Action

GOAL: Final = 1.3
FEW, MANY, CHANGED = 100, 10_000, 10
VOTERS: Final = 10
# The default on chain; the local chain uses a shorter one.
_THREE_DAYS: Final = ("--dispute-period", "259200")
# What the tally sensor and the window sensor scan for.
_SENSORS: Final[tuple[frozenset[Action], ...]] = (
    PROPOSAL_ACTIONS,
    frozenset({"finalize_market"}),
)
_IDLE: Final = Path(__file__).with_name("idle_markets.sql")


class Cycle(NamedTuple):
    """Seconds of wall time and of processor time, Postgres included."""

    wall: float
    cpu: float


def vote_cycle(quick: bool) -> Row:
    """Measure a cycle among 10,000 markets against one among 100; ten changed in each."""
    rounds = 3 if quick else 8
    cycles: dict[int, list[Cycle]] = {FEW: [], MANY: []}
    scans: dict[int, list[Cycle]] = {FEW: [], MANY: []}
    with _worlds() as worlds:
        for round_number in range(rounds + 1):
            changed = _propose(list(worlds.values()), round_number)
            # Alternating, so that neither is always first.
            order = list(worlds) if round_number % 2 else list(reversed(worlds))
            for number in order:
                world = worlds[number]
                for market in changed:
                    world.vote(market, [True] * VOTERS)
                cycle = _measured(world, partial(_cycle, world))
                scan = _measured(world, partial(_scan, world))
                _move_on(world, changed)
                if round_number:  # the first one warms up
                    cycles[number].append(cycle)
                    scans[number].append(scan)
    few, many = (sum(one.cpu for one in cycles[n]) / rounds for n in (FEW, MANY))
    wall = [statistics.median(one.wall for one in cycles[n]) for n in (FEW, MANY)]
    idle = [sum(one.cpu for one in scans[n]) / rounds for n in (FEW, MANY)]
    ratio = many / few
    return Row(
        "vote_cycle",
        round(ratio, 2),
        "times the processor time",
        GOAL,
        f"{FEW} markets, {CHANGED} changed: {few * 1e3:.0f} ms (wall {wall[0] * 1e3:.0f});"
        f" {MANY:,} markets: {many * 1e3:.0f} ms (wall {wall[1] * 1e3:.0f}); a scan that finds"
        f" nothing: {idle[0] * 1e3:.1f} and {idle[1] * 1e3:.1f} ms",
        ratio <= GOAL,
    )


@contextmanager
def _worlds() -> Iterator[dict[int, World]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zmart-cycle-")))
        chain = Localnet(folder / "localnet", "--manual-clock", "--no-webhook", *_THREE_DAYS)
        stack.callback(chain.close)
        cluster = stack.enter_context(databases(durable=True))
        worlds = {}
        for number in (FEW, MANY):
            url = stack.enter_context(cluster.fresh())
            worlds[number] = World(chain, url, folder / str(number))
            stack.callback(worlds[number].close)
            now = worlds[number].rpc.chain_clock("finalized").unix_timestamp
            _fill(cluster.superuser(url), number - CHANGED, now)
        worlds[FEW].fund(wallet(1), lamports=1000 * 10**9)
        yield worlds


def _fill(url: str, markets: int, now: int) -> None:
    script = _IDLE.read_text(encoding="utf-8").format(
        markets=markets, now=now, **{state.name: state.value for state in MarketState}
    )
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(script.encode())
        conn.execute("VACUUM ANALYZE")


def _propose(worlds: list[World], round_number: int) -> list[bytes]:
    """Create ten new proposals on chain and in each ledger."""
    first = 1 + round_number * CHANGED
    markets = [worlds[0].propose(first + n, wallet(1)) for n in range(CHANGED)]
    for world in worlds:
        world.sync()
    return markets


def _cycle(world: World) -> None:
    _scan(world)
    created = world.plan()
    if len(created) != 2 * CHANGED:
        raise AssertionError(f"{len(created)} intents for {CHANGED} proposals")
    _scan(world)


def _scan(world: World) -> None:
    """Do what each tick of the two sensors does."""
    chain_time = world.rpc.chain_clock("finalized").unix_timestamp
    with world.engine.begin() as conn:
        for actions in _SENSORS:
            scan_due_markets(
                conn, world.settings, actions=actions, chain_time=chain_time, scanner="sensor"
            )


def _measured(world: World, work: Callable[[], None]) -> Cycle:
    before = _cpu(world)
    started = time.perf_counter()
    work()
    wall = time.perf_counter() - started
    return Cycle(wall, _cpu(world) - before)


def _cpu(world: World) -> float:
    """Return the processor seconds of this process and of this database's connections.

    Other processes of Postgres serve both databases.
    """
    with world.engine.connect() as conn:
        backends = conn.execute(
            text(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend'"
            )
        ).scalars()
        return time.process_time() + sum(map(cpu_of, backends))


def _move_on(world: World, markets: list[bytes]) -> None:
    """Move the ten proposals on, so that they become idle."""
    with world.ingest.begin() as conn:
        conn.execute(
            text("UPDATE market.markets SET state = :approved WHERE market_id = ANY(:markets)"),
            {"approved": int(MarketState.APPROVED), "markets": markets},
        )
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE ops.intents SET status = 'final'"))
