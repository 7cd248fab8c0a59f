"""Ctrl-C on a running system, and the start after it."""

import json
import signal
from collections.abc import Iterator

import pytest

from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import two_markets_finished

pytestmark = pytest.mark.system


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    # One of its own: the shared one is in use by the tests of other processes.
    with RunningSystem() as running:
        running.start()
        yield running


@pytest.mark.timeout(900)
def test_ctrl_c_stops_everything_and_the_next_start_resumes(system: RunningSystem) -> None:
    system.wait_for(lambda: two_markets_finished(system), 400, "two markets finished")
    assert len(system.processes()) >= 8
    system.stop(signal.SIGINT)
    assert system.exit_code == 0
    assert system.processes() == []
    assert list((system.state / "run").iterdir()) == []

    before = system.output.stat().st_size
    system.start()
    assert system.states()["FINALIZED"] >= 2
    facts = json.loads(system.run("status", "--json").stdout)
    assert facts["database"]["ledger"]["quarantined"] == 0
    printed = system.output.read_bytes()[before:].decode()
    assert "market 1 " not in printed, "the demo repeats a finished market"
    system.stop(signal.SIGTERM)
    assert system.processes() == []
