"""SIGKILL of one part after another during the demo: same final states, nothing sent twice."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from assets.run_workers import FORK_SERVER_NAME
from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import check_finished_markets, two_markets_finished

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    running = RunningSystem()
    try:
        yield running
    finally:
        running.discard()


def kill(pid: int) -> None:
    psutil.Process(pid).kill()


def fork_server(system: RunningSystem) -> psutil.Process:
    """The process that run workers are forked from."""
    (found,) = [
        child
        for child in psutil.Process(system.pid("code-server")).children()
        if child.name() == FORK_SERVER_NAME or "forkserver" in " ".join(child.cmdline())
    ]
    return found


def await_run_worker(system: RunningSystem) -> psutil.Process:
    """The process of the next Dagster run; short runs end within half a second."""
    deadline = time.monotonic() + 60
    parent = fork_server(system)
    while time.monotonic() < deadline:
        workers = parent.children()
        if workers:
            return workers[0]
        time.sleep(0.02)
    raise AssertionError("no run started within 60 s")


def kill_run_worker(system: RunningSystem) -> None:
    await_run_worker(system).kill()


def kill_fork_server_during_a_run(system: RunningSystem) -> None:
    await_run_worker(system)
    fork_server(system).kill()


def kill_all_of_postgres(system: RunningSystem) -> None:
    for process in system.processes():
        if process.name() == "postgres":
            process.kill()


def test_each_part_killed_during_the_demo(system: RunningSystem) -> None:
    system.start()
    strikes: list[Callable[[], None]] = [
        lambda: kill(system.pid("api")),
        lambda: kill_run_worker(system),
        lambda: kill_fork_server_during_a_run(system),
        lambda: kill(system.pid("daemon")),
        lambda: kill(system.pid("redis")),
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


def test_supervisor_killed_and_started_again(system: RunningSystem) -> None:
    system.start()
    system.wait_for(lambda: system.states().get("ACTIVE", 0) >= 1, 180, "one market active")
    assert system.process is not None
    os.kill(system.process.pid, signal.SIGKILL)
    system.process.wait()
    system.start()
    system.wait_for(lambda: two_markets_finished(system), 400, "two markets finished")
    check_finished_markets(system)
    system.stop(signal.SIGTERM)
    assert system.processes() == []


@pytest.mark.slow
def test_markets_finish_without_webhooks() -> None:
    running = RunningSystem("--no-webhook")
    try:
        running.start()
        running.wait_for(lambda: two_markets_finished(running), 400, "two markets finished")
        check_finished_markets(running)
        assert running.query("SELECT count(*) FROM chain.deliveries") == [(0,)]
    finally:
        running.discard()
