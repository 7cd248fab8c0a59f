"""Ctrl-C on a running system, and the start after it."""

import json
import signal

import pytest

from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import two_markets_finished

pytestmark = pytest.mark.system


def test_ctrl_c_stops_everything_and_the_next_start_resumes(
    running_system: RunningSystem,
) -> None:
    running_system.wait_for(
        lambda: two_markets_finished(running_system), 400, "two markets finished"
    )
    assert len(running_system.processes()) >= 8
    running_system.stop(signal.SIGINT)
    assert running_system.exit_code == 0
    assert running_system.processes() == []
    assert list((running_system.state / "run").iterdir()) == []

    before = running_system.output.stat().st_size
    running_system.start()
    assert running_system.states()["FINALIZED"] >= 2
    facts = json.loads(running_system.run("status", "--json").stdout)
    assert facts["database"]["ledger"]["quarantined"] == 0
    printed = running_system.output.read_bytes()[before:].decode()
    assert "market 1 " not in printed, "the demo repeats a finished market"
    running_system.stop(signal.SIGTERM)
    assert running_system.processes() == []
