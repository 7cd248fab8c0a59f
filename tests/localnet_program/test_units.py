"""The compute units of each instruction. Transactions request 200,000."""

from collections.abc import Callable

import pytest

from tests.localnet_program.attempts import Attempt
from tests.localnet_program.cases import CASES, trading
from tests.localnet_program.cases.common import Case
from tests.localnet_program.wire import u64
from tests.localnet_program.world import SOL, World

LIMIT = 200_000
USUAL = 20_000  # all but trades, with addresses found at the first bump


def units(attempt: Attempt, record_property: Callable[[str, object], None]) -> int:
    spent = attempt.send().units
    record_property("compute_units", spent)
    return spent


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_units_of_an_instruction(
    make: Callable[[World], Case], record_property: Callable[[str, object], None]
) -> None:
    attempt, _ = make(World())
    trade = make.__name__.startswith("buy")
    assert units(attempt, record_property) < (2 * USUAL if trade else USUAL)


@pytest.mark.parametrize("b", [100, 1_000, 10_000, 100_000, 1_000_000])
def test_units_of_a_buy_grow_slowly_with_b(
    b: int, record_property: Callable[[str, object], None]
) -> None:
    attempt, _ = trading.buy_shares(World())
    attempt.market.b_parameter = b * SOL
    attempt.market.shares_yes = attempt.market.shares_no = b * SOL // 1000
    attempt.arguments[1] = u64(20 * SOL)
    assert units(attempt, record_property) < 60_000 < LIMIT
