"""Exactly once under crashes, forks and lagging nodes."""

import itertools
import sys

import pytest

from tests.submissions.simulated_orders import ORDERS
from tests.submissions.simulation import by_all_processors, faults, simulate

# Each wrong order goes wrong before seed 3,000.
SEEDS = 20_000
MILLION = 1_000_000


@pytest.mark.process
def test_our_order_is_exact() -> None:
    assert faults("ours", range(SEEDS)) == []


@pytest.mark.parametrize("order", sorted(set(ORDERS) - {"ours"}))
@pytest.mark.process
def test_wrong_orders_are_caught(order: str) -> None:
    """The simulation has teeth: each of these goes wrong under some seed."""
    caught = next((seed for seed in range(SEEDS) if simulate(seed, order)), None)
    assert caught is not None


def test_one_command_replays_a_seed() -> None:
    """What a failure prints is enough: the same seed gives the same schedule."""
    (caught,) = itertools.islice((s for s in range(SEEDS) if simulate(s, "by the clock")), 1)
    (said,) = faults("by the clock", range(caught, caught + 1))
    assert said.startswith(
        f'python -m tests.submissions.simulation --order "by the clock" --seed {caught}: '
    )
    first: list[str] = []
    again: list[str] = []
    assert simulate(caught, "by the clock", first) == simulate(caught, "by the clock", again)
    assert first == again
    assert len(first) > 5


@pytest.mark.process
def test_the_storm_reaches_every_branch() -> None:
    lines: list[str] = []
    for seed in range(3000):
        simulate(seed, "ours", lines)
    schedule = "\n".join(lines)
    for event in (
        "froze",
        "planned",
        "crashed",
        "stalls until",
        "lost its lease",
        "MarkLost",
        "MarkDead(reason='expired without landing'",
        "Settle(status='final', reason='landed'",
        "Settle(status='final', reason='became true by another transaction'",
        "Settle(status='final', reason='already true on chain'",
        "Postpone",
    ):
        assert event in schedule, event


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    def progress(done: int) -> None:
        if done % 100_000 == 0:
            with capsys.disabled():
                print(f"{done} of {MILLION} seeds", file=sys.stderr)  # noqa: T201

    assert list(by_all_processors(range(MILLION), progress)) == []
