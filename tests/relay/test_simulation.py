"""The state of a relayed transaction is true, under forks, lagging nodes and crashes."""

from __future__ import annotations

import pytest

from tests.relay.simulation import ORDERS, simulate

SEEDS = 4_000
SLOW_SEEDS = 200_000


def faults(order: str, seeds: range) -> list[str]:
    """The seeds that went wrong, each as the command that replays it."""
    return [
        f"python -m tests.relay.simulation {seed} {order!r}: {fault}"
        for seed in seeds
        if (fault := simulate(seed, order)) is not None
    ]


def test_ends_are_true() -> None:
    assert faults("ours", range(SEEDS)) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ends_are_true_for_many_seeds() -> None:
    assert faults("ours", range(SLOW_SEEDS)) == []


@pytest.mark.parametrize("order", sorted(set(ORDERS) - {"ours"}))
def test_wrong_orders_are_caught(order: str) -> None:
    assert any(simulate(seed, order) for seed in range(SEEDS))


def test_the_storm_reaches_every_branch() -> None:
    lines: list[str] = []
    for seed in range(500):
        simulate(seed, schedule=lines)
    schedule = "\n".join(lines)
    for seen in (
        "resumes stored",
        "resumes sent",
        "resumes confirmed",
        "is fenced",
        "MarkRefused",
        "MarkDropped",
        "Settle(outcome='finalized'",
        "Settle(outcome='expired'",
    ):
        assert seen in schedule, seen
