"""SIGKILL of one part after another during the demo: same final states, nothing sent twice."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import check_finished_markets, two_markets_finished
from tests.system.parts import (
    flush_redis,
    kill,
    kill_all_of_postgres,
    kill_fork_server_during_a_run,
    kill_run_worker,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    with RunningSystem() as running:
        yield running


def test_each_part_killed_during_the_demo(system: RunningSystem) -> None:
    system.start()
    strikes: list[Callable[[], None]] = [
        lambda: kill(system.pid("api")),
        lambda: kill_run_worker(system),
        lambda: kill_fork_server_during_a_run(system),
        lambda: kill(system.pid("daemon")),
        lambda: kill(system.pid("redis")),
        lambda: flush_redis(system),
        lambda: kill_all_of_postgres(system),
        lambda: kill(system.pid("code-server")),
        lambda: kill(system.pid("localnet")),
    ]
    for strike in strikes:
        time.sleep(6)
        strike()
    system.wait_for(lambda: two_markets_finished(system), 600, "two markets finished")
    check_finished_markets(system)
    answer = system.run("check", "--json")
    assert answer.returncode == 0, answer.stdout


@pytest.mark.slow
def test_supervisor_killed_and_started_again(system: RunningSystem) -> None:
    system.start()
    system.wait_for(lambda: system.states().get("ACTIVE", 0) >= 1, 180, "one market active")
    assert system.process is not None
    os.kill(system.process.pid, signal.SIGKILL)
    system.process.wait()
    system.start()
    system.wait_for(lambda: two_markets_finished(system), 400, "two markets finished")
    # Who had not voted when it was killed may find the proposal counted after the restart.
    check_finished_markets(system)
    system.stop(signal.SIGTERM)
    assert system.processes() == []


@pytest.mark.slow
def test_markets_finish_without_webhooks() -> None:
    with RunningSystem("--no-webhook") as running:
        running.start()
        running.wait_for(lambda: two_markets_finished(running), 400, "two markets finished")
        check_finished_markets(running)
        assert running.query("SELECT count(*) FROM chain.deliveries") == [(0,)]
