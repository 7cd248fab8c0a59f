"""SIGKILL between intent and final, at every point, whatever becomes of what was sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from tests.fixtures.localnet import StartLocalnet
from tests.submissions.conftest import NewDatabase
from tests.submissions.matrix import FATES, POINTS, Matrix
from tests.submissions.world import World
from zmart_pipelines.submissions.states import Action

CELLS = tuple(product(POINTS, FATES))
# The chain itself would take an aggregation twice; a finalization it refuses the second time.
MATRIX_ACTIONS: tuple[Action, ...] = ("aggregate_proposal_votes", "finalize_market")
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


def run_all(matrix: Matrix, times: int) -> dict[str, list[str]]:
    """Every cell so many times; those with faults."""
    found = {}
    for number, (point, fate) in product(range(times), CELLS):
        faults = matrix.case(point, fate)
        if faults:
            found[f"{matrix.action} {fate}, killed at {point} ({number})"] = faults
    return found


def run_side_by_side(worlds: Worlds, times: int) -> dict[str, list[str]]:
    matrices = [worlds.matrix(action, times * len(CELLS)) for action in MATRIX_ACTIONS]
    with ThreadPoolExecutor(len(matrices)) as pool:
        parts = list(pool.map(run_all, matrices, [times] * len(matrices)))
    return parts[0] | parts[1]


def test_there_are_eight_points_and_three_fates() -> None:
    assert (len(POINTS), len(FATES)) == (8, 3)


@pytest.mark.timeout(600)
def test_a_crash_anywhere(worlds: Worlds) -> None:
    assert run_side_by_side(worlds, 1) == {}


@pytest.mark.timeout(300)
def test_the_wrong_order_is_caught(worlds: Worlds) -> None:
    """The control: sent before it is stored, an aggregation lands twice."""
    matrix = worlds.matrix("aggregate_proposal_votes", 2)
    assert matrix.case("signed", "lands") == []
    faults = matrix.case("signed", "lands", send_first=True)
    assert faults[0] == "2 effective transactions"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shard", range(REPEATS // SHARD))
def test_crashes_everywhere_again_and_again(worlds: Worlds, shard: int) -> None:
    assert run_side_by_side(worlds, SHARD) == {}
