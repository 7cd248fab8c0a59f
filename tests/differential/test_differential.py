"""The reference program and the independent model agree, step by step, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.differential.machine import Lives

pytestmark = pytest.mark.process


def run(steps: int) -> None:
    """Compare at least so many transactions; lives have up to a hundred rules each."""
    compared = 0

    class Counted(Lives):
        def teardown(self) -> None:
            nonlocal compared
            compared += self.pair.count

    while compared < steps:
        run_state_machine_as_test(
            Counted,
            settings=settings(
                max_examples=200,
                stateful_step_count=100,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_program_equals_the_model() -> None:
    run(20_000)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_program_equals_the_model_for_a_million_steps() -> None:
    run(1_000_000)
