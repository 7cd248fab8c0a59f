"""Every check of every instruction, alone and against every later one."""

import itertools
from collections.abc import Callable

import pytest

from tests.localnet_program.attempts import ESCALATION, Fault
from tests.localnet_program.cases import CASES
from tests.localnet_program.cases.common import Case
from tests.localnet_program.cases.trading import sell_shares
from tests.localnet_program.wire import ERRORS
from tests.localnet_program.world import Outcome, World

Maker = Callable[[World], Case]
parametrize = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)


@pytest.fixture
def world() -> World:
    return World()


def spoiled(world: World, case: Maker, *indices: int) -> Outcome:
    """Send a fresh attempt with some of its faults, the last check's first."""
    attempt, faults = case(world)
    for index in sorted(indices, reverse=True):
        faults[index].apply(attempt)
    return attempt.send()


def assert_reported(outcome: Outcome, fault: Fault) -> None:
    assert outcome.code == fault.code, outcome.logs
    if fault.culprit == "":
        return
    origin = {
        "occurred": "AnchorError occurred. ",
        "thrown": "AnchorError thrown in localnet/program/src/",
    }.get(fault.culprit, f"AnchorError caused by account: {fault.culprit}. ")
    assert isinstance(fault.code, int)
    name, message = ERRORS[fault.code]
    assert outcome.error_line.startswith("Program log: " + origin)
    assert outcome.error_line.endswith(
        f". Error Code: {name}. Error Number: {fault.code}. Error Message: {message}."
    )


@parametrize
def test_without_a_fault_it_succeeds(world: World, case: Maker) -> None:
    attempt, _ = case(world)
    expected = ESCALATION if case is sell_shares else None
    assert attempt.send().code == expected


@parametrize
def test_each_fault_is_reported(world: World, case: Maker) -> None:
    _, faults = case(world)
    for index, fault in enumerate(faults):
        assert_reported(spoiled(world, case, index), fault)


@parametrize
@pytest.mark.process
def test_the_first_of_two_faults_is_reported(world: World, case: Maker) -> None:
    _, faults = case(world)
    pairs = 0
    for first, second in itertools.combinations(range(len(faults)), 2):
        if faults[first].touches & faults[second].touches:
            continue
        outcome = spoiled(world, case, first, second)
        note = f"{faults[first].name} + {faults[second].name}"
        assert outcome.code == faults[first].code, f"{note}: {outcome.logs}"
        pairs += 1
    assert pairs >= len(faults)
