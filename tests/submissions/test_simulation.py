"""Exactly once under crashes, forks and lagging nodes, for as many seeds as there is time."""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.submissions.simulation import ORDERS, simulate

SEEDS = 20_000


def faults(order: str, seeds: range) -> list[str]:
    replay = "python -m tests.submissions.simulation --seed"
    return [
        f"{replay} {seed}: {fault}"
        for seed in seeds
        if (fault := simulate(seed, order)) is not None
    ]


@pytest.mark.timeout(600)
def test_our_order_is_exact() -> None:
    assert faults("ours", range(SEEDS)) == []


@pytest.mark.parametrize("order", sorted(set(ORDERS) - {"ours"}))
def test_wrong_orders_are_caught(order: str) -> None:
    """The simulation has teeth: each of these lands twice under some seed."""
    caught = next((seed for seed in range(SEEDS) if simulate(seed, order)), None)
    assert caught is not None


def test_the_storm_reaches_every_branch() -> None:
    told: list[str] = []
    for seed in range(3000):
        simulate(seed, "ours", told)
    schedule = "\n".join(told)
    for event in (
        "crashed",
        "stalls until",
        "lost its lease",
        "MarkLost",
        "Bury(reason='expired without landing'",
        "Settle(status='final', reason='landed'",
        "Settle(status='final', reason='made so by another transaction'",
        "Settle(status='final', reason='already so on chain'",
        "Postpone",
    ):
        assert event in schedule, event


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_seeds() -> None:
    parts = [range(start, start + 10_000) for start in range(0, 1_000_000, 10_000)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = [fault for part in pool.map(faults, ["ours"] * len(parts), parts) for fault in part]
    assert found == []
