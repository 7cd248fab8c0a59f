"""Bugs planted in the program's source are caught by the comparison with the model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from localnet.program.build import SOURCES, build, program_sources
from tests.differential.machine import Lives
from tests.differential.pair import Difference, Pair

pytestmark = pytest.mark.process


class PlantedBug(NamedTuple):
    """A plausible bug in one line of one file."""

    file: str
    right: str
    wrong: str


PLANTED_BUGS = {
    "resolution in the second of the activation": PlantedBug(
        "resolution", "now > market.activated_at", "now >= market.activated_at"
    ),
    "dispute in the window's last second": PlantedBug(
        "resolution", "now < window_end", "now <= window_end"
    ),
    "finalization a second late": PlantedBug("resolution", "now >= window_end", "now > window_end"),
    "dispute threshold not inclusive": PlantedBug(
        "resolution",
        "share_of_votes(votes) >= config->dispute_success_threshold",
        "share_of_votes(votes) > config->dispute_success_threshold",
    ),
    "dispute ends without its mark": PlantedBug(
        "resolution", "market.was_disputed = disputed", "market.was_disputed = false"
    ),
    "fee parts mixed up": PlantedBug(
        "fees",
        "config->resolver_reward_bps, total_bps, &fees->resolver",
        "config->liquidity_provider_fee_bps, total_bps, &fees->resolver",
    ),
    "budget without fees": PlantedBug(
        "trading", "BUDGET_DIVISOR = 11000", "BUDGET_DIVISOR = 10000"
    ),
    "protocol fee kept as liquidity": PlantedBug(
        "trading", "fees->resolver + fees->lp, &market", "fees->total, &market"
    ),
    "search to the last unit": PlantedBug(
        "lmsr", "SEARCH_TOLERANCE 1000000ull", "SEARCH_TOLERANCE 1ull"
    ),
    "logarithm without its last term": PlantedBug("fixed", "y3 / 3 + y5 / 5", "y3 / 3"),
    "resolver paid by every claim": PlantedBug(
        "payout", "        market->accumulated_resolver_fees = 0;\n", ""
    ),
    "withdrawal keeps the fees on the books": PlantedBug(
        "payout", "    market.accumulated_lp_fees = 0;\n", ""
    ),
    "withdrawal without reserve": PlantedBug(
        "payout", "WITHDRAWAL_RESERVE 10000ull", "WITHDRAWAL_RESERVE 0ull"
    ),
    "market opens with shares on one side": PlantedBug(
        "proposal",
        "market.shares_no = b_parameter / OPENING_SHARES_DIVISOR",
        "market.shares_no = 0",
    ),
    "approved markets cannot be cancelled": PlantedBug(
        "proposal",
        "market.state == PROPOSED || market.state == APPROVED",
        "market.state == PROPOSED",
    ),
}


def program_with(bug: PlantedBug, folder: Path) -> Path:
    """The program built with the bug in it."""
    source = (SOURCES / f"{bug.file}.c").read_text()
    assert source.count(bug.right) == 1, "the planted line is no longer in the source"
    changed = folder / f"{bug.file}.c"
    changed.write_text(source.replace(bug.right, bug.wrong))
    sources = [changed if path.stem == bug.file else path for path in program_sources()]
    built = folder / "program.so"
    built.write_bytes(build(sources))
    return built


@pytest.mark.parametrize("name", list(PLANTED_BUGS))
def test_planted_bug_is_caught(name: str, tmp_path: Path) -> None:
    program = program_with(PLANTED_BUGS[name], tmp_path)

    class Slipped(Lives):
        def make_pair(self) -> Pair:
            return Pair(program)

    with pytest.raises(Difference):
        run_state_machine_as_test(
            Slipped,
            settings=settings(
                max_examples=300,
                stateful_step_count=100,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
