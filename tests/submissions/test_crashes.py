"""SIGKILL between intent and final, at every point, whatever becomes of what was sent."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from tests.fixtures.localnet import StartLocalnet
from tests.submissions.conftest import NewDatabase
from tests.submissions.matrix import FATES, POINTS, Fate, Matrix
from tests.submissions.submitters import Point
from tests.submissions.world import World
from zmart_pipelines.submissions.statuses import Action

Cell = tuple[Point, Fate]
CELLS: tuple[Cell, ...] = tuple(product(POINTS, FATES))
# The chain itself would accept it twice.
AGGREGATE: Action = "aggregate_proposal_votes"
# The second one fails on chain.
FINALIZE: Action = "finalize_market"
REPEATS = 25
SHARD = 5


class Worlds:
    """A chain and a database for each matrix."""

    def __init__(
        self, start_localnet: StartLocalnet, new_database: NewDatabase, folder: Path
    ) -> None:
        self._start, self._database, self._folder = start_localnet, new_database, folder
        self._made: list[World] = []

    def matrix(self, action: Action, cases: int) -> Matrix:
        database = self._database()
        world = World(self._start(), database, self._folder / f"world-{len(self._made)}")
        self._made.append(world)
        return Matrix(world, database, action, cases)

    def close(self) -> None:
        for world in self._made:
            world.close()


@pytest.fixture
def worlds(
    start_localnet: StartLocalnet, new_database: NewDatabase, tmp_path: Path
) -> Iterator[Worlds]:
    made = Worlds(start_localnet, new_database, tmp_path)
    yield made
    made.close()


def run_cells(matrix: Matrix, cells: Sequence[Cell]) -> list[str]:
    """Those with faults."""
    found = []
    for number, (point, fate) in enumerate(cells):
        faults = matrix.case(point, fate)
        if faults:
            found.append(f"{number}: {matrix.action} {fate}, killed at {point}: {faults}")
    return found


def run_side_by_side(worlds: Worlds, *parts: tuple[Action, Sequence[Cell]]) -> list[str]:
    """Each action on a chain of its own; the cells with faults."""
    matrices = [worlds.matrix(action, len(cells)) for action, cells in parts]
    with ThreadPoolExecutor(len(parts)) as pool:
        found = pool.map(run_cells, matrices, [cells for _, cells in parts])
        return [fault for part in found for fault in part]


def test_there_are_eight_points_and_three_fates() -> None:
    assert (len(POINTS), len(FATES)) == (8, 3)


@pytest.mark.timeout(600)
def test_a_crash_anywhere(worlds: Worlds) -> None:
    """Every cell for an aggregation, every point once for a finalization."""
    diagonal = [(point, FATES[number % len(FATES)]) for number, point in enumerate(POINTS)]
    found = run_side_by_side(worlds, (AGGREGATE, CELLS), (FINALIZE, diagonal))
    assert not found, "\n".join(found)


@pytest.mark.timeout(300)
def test_the_wrong_order_is_caught(worlds: Worlds) -> None:
    """The control: sent before it is stored, an aggregation lands twice."""
    matrix = worlds.matrix(AGGREGATE, 2)
    assert matrix.case("signed", "lands") == []
    faults = matrix.case("signed", "lands", send_first=True)
    assert faults[0] == "2 effective transactions"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shard", range(REPEATS // SHARD))
def test_crashes_everywhere_again_and_again(worlds: Worlds, shard: int) -> None:
    found = run_side_by_side(worlds, (AGGREGATE, CELLS * SHARD), (FINALIZE, CELLS * SHARD))
    assert not found, "\n".join(found)
