"""What starting a run costs: a worker forked from a warm process, against Dagster's default.

Both code servers serve the product's definitions on databases of one cluster and take turns
with a job that finds nothing to do. The figure is the ratio of processor seconds; the wall
clock is printed beside it.
"""

from __future__ import annotations

import statistics
from typing import Final

from benchmarks.database import databases
from benchmarks.rows import Row
from tests.fixtures.code_server import Launch, code_server

GOAL: Final = 0.2
JOB: Final = "clean_up"
OURS: Final = ("assets.code_server",)
DEFAULT: Final = ("dagster", "api", "grpc")


def run_start(quick: bool) -> Row:
    """Return processor seconds of a run with forked workers, as a share of the default's."""
    rounds = 2 if quick else 4
    costs: dict[tuple[str, ...], list[Launch]] = {OURS: [], DEFAULT: []}
    with databases() as cluster, cluster.fresh() as ours, cluster.fresh() as theirs:
        urls = {OURS: ours, DEFAULT: theirs}
        for number in range(rounds):
            for command in (OURS, DEFAULT) if number % 2 else (DEFAULT, OURS):
                with code_server(urls[command], command) as server:
                    server.launch(JOB)  # opens the server's connections
                    costs[command] += [server.launch(JOB) for _ in range(4)]
    value = round(_median(costs[OURS], "cpu") / _median(costs[DEFAULT], "cpu"), 3)
    rival = f"forked: {_text(costs[OURS])}; Dagster's default: {_text(costs[DEFAULT])}"
    return Row("run_start", value, "of the default's CPU", GOAL, rival, value <= GOAL)


def _median(launches: list[Launch], field: str) -> float:
    return float(statistics.median(getattr(launch, field) for launch in launches))


def _text(launches: list[Launch]) -> str:
    return (
        f"{_median(launches, 'cpu'):.2f} CPU-s, accepted in {_median(launches, 'accepted'):.2f} s,"
        f" ended in {_median(launches, 'finished'):.2f} s"
    )
