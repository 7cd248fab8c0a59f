"""Drills of the runbooks on one running system.

Each causes a fault, waits for its alert, runs the commands of the page as they stand there, and
ends with the page's own exit command. Only what the page names in capitals, and the port of the
API, is filled in.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from tests.docs import runbook_pages
from tests.fixtures.alert_receivers import Slack
from tests.fixtures.processes import process_name
from tests.fixtures.running_system import PROJECT, RunningSystem
from tests.system.broken_folders import file_in_its_place
from tests.system.launchpad import launch, run_status
from zmart_pipelines.store.engine import Role

# An alert is raised within five minutes at the latest; here the thresholds are low.
ALERT_SECONDS = 240
OVER_SECONDS = 240
COMMAND_SECONDS = 180

pytestmark = pytest.mark.timeout(1200)

SENSOR = """
mutation Change($selector: SensorSelector!) {
  %s(sensorSelector: $selector) { __typename ... on PythonError { message } }
}
"""


class Drills:
    """A running system, and the pages that are followed on it."""

    def __init__(self, system: RunningSystem, slack: Slack, backups: Path) -> None:
        self.system = system
        self.slack = slack
        self.backups = backups

    def follow(
        self,
        topic: str,
        *,
        shows: str,
        values: Mapping[str, str] | None = None,
        mend: Callable[[], object] = lambda: None,
        ends: Callable[[], object] = lambda: None,
    ) -> None:
        """Follow the page of a fault that has begun.

        Args:
            topic: The cause.
            shows: What the first query must show of it.
            values: What the words in capitals stand for.
            mend: What the page says in words: the cause is removed.
            ends: What the system does by itself afterwards, now rather than at its time.
        """
        page = runbook_pages.parts(runbook_pages.pages()[topic].read_text())
        (over,) = runbook_pages.commands(page["It is over when"])
        self.await_exit(over, 1, ALERT_SECONDS, f"the alert {topic}")
        first = "".join(
            self.run(command, values).stdout
            for command in runbook_pages.commands(page["First query"])
        )
        assert shows in first, first
        mend()
        for command in runbook_pages.commands(page["Safe action"]):
            done = self.run(command, values)
            assert done.returncode in (0, 1), f"{command}\n{done.stdout}\n{done.stderr}"
        ends()
        self.await_exit(over, 0, OVER_SECONDS, f"the end of {topic}")

    def run(
        self, command: str, values: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of a page in a shell."""
        for name, value in (values or {}).items():
            command = command.replace(name, value)
        command = command.replace(
            "127.0.0.1:4000", f"127.0.0.1:{self.system.environment['API_PORT']}"
        )
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", command],
            cwd=PROJECT,
            env={**self.system.environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def await_exit(self, command: str, code: int, seconds: float, goal: str) -> None:
        """Wait until the command exits with this code."""
        deadline = time.monotonic() + seconds
        while (done := self.run(command)).returncode != code:
            alerts = self.run('zmart query "SELECT topic, subject, message FROM ops.alerts"')
            assert time.monotonic() < deadline, (
                f"no {goal}\n{done.stdout}{done.stderr}{alerts.stdout}"
            )
            time.sleep(2)

    def await_run(self, job: str) -> str:
        """Launch a job and return how it ended."""
        run = launch(self.system, job)
        deadline = time.monotonic() + ALERT_SECONDS
        while (status := run_status(self.system, run)) not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, f"{job} is {status}"
            time.sleep(1)
        return status

    def turn_sensor(self, name: str, *, on: bool) -> None:
        """Switch a sensor as the Dagster UI does."""
        selector = {
            "repositoryLocationName": "zmart_pipelines",
            "repositoryName": "__repository__",
            "sensorName": name,
        }
        if on:
            self._mutate(SENSOR % "startSensor", {"selector": selector})
            return
        found = self._graphql(
            "query Sensor($selector: SensorSelector!) {"
            " sensorOrError(sensorSelector: $selector) { ... on Sensor { sensorState { id } } } }",
            {"selector": selector},
        )
        state = found["sensorOrError"]["sensorState"]["id"]
        self._mutate(
            "mutation Stop($id: String!) { stopSensor(id: $id) { __typename } }", {"id": state}
        )

    def _mutate(self, query: str, variables: Mapping[str, object]) -> None:
        (answer,) = self._graphql(query, variables).values()
        assert "Error" not in answer["__typename"], answer

    def _graphql(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.system.dagster}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
            trust_env=False,
        ).json()
        assert "errors" not in answer, answer
        return dict(answer["data"])


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drills]:
    """One system for all drills, with low thresholds, the demo and a receiver of alerts."""
    slack = Slack()
    backups = tmp_path_factory.mktemp("backups")
    system = RunningSystem(
        # No drill waits for the pause after a message about the drill before it.
        ALERT_GROUP_SECONDS="1",
        ALERT_INTERVAL_SECONDS="1",
        ALERT_WEBHOOK_URL=slack.address.get_secret_value(),
        BACKUP_TARGET=backups.as_uri(),
        CONFIG_ALERT_SECONDS="60",
        DAEMON_SILENCE_SECONDS="60",
        MONITOR_SILENCE_SECONDS="100",
        WATCHDOG_DATABASE_SECONDS="5",
    )
    try:
        system.start()
        yield Drills(system, slack, backups)
    finally:
        system.discard()
        slack.close()


@pytest.mark.system
def test_switch(drills: Drills) -> None:
    """Another switch stays off: the page switches on what its cause was, not everything."""
    for action in ("finalize_market", "activate_market"):
        done = drills.run(f'zmart switch {action} off --reason "a drill of {action}"')
        assert done.returncode == 0, done.stderr
    over = "zmart switch activate_market on"
    with contextlib.ExitStack() as after:
        after.callback(drills.run, over)
        drills.follow(
            "switch",
            shows="a drill of finalize_market",
            values={"ACTION": "finalize_market"},
            mend=lambda: drills.run(over),
        )
    states = drills.run("zmart switch").stdout
    assert "off" not in states.split(), states


@pytest.mark.system
def test_run(drills: Drills) -> None:
    """A job fails; what was in its way is removed, and it is launched again."""
    folder = drills.backups
    with file_in_its_place(folder):
        assert drills.await_run("back_up") == "FAILURE"
        page = runbook_pages.parts(runbook_pages.pages()["run"].read_text())
        (over,) = runbook_pages.commands(page["It is over when"])
        drills.await_exit(over, 1, ALERT_SECONDS, "the alert run")
    drills.follow("run", shows="back_up", mend=lambda: drills.await_run("back_up"))
    assert any(folder.iterdir())


@pytest.mark.system
def test_database_connections(drills: Drills) -> None:
    """Connections that nothing uses are held by one role, until they are closed."""
    login = drills.system.login(Role.READ)
    held: list[psycopg.Connection[Any]] = []

    def close() -> None:
        while held:
            held.pop().close()

    try:
        (limit,) = drills.system.query("SELECT current_setting('max_connections')::int")[0]
        (taken,) = drills.system.query("SELECT count(*) FROM pg_stat_activity")[0]
        while taken + len(held) < limit * 0.75:
            held.append(psycopg.connect(login))
        drills.follow(
            "database_connections",
            shows="zmart_read",
            mend=close,
        )
    finally:
        close()


@pytest.mark.system
def test_alert_delivery(drills: Drills) -> None:
    """The receiver answers 500 while an alert is to be sent, then accepts it."""
    drills.slack.status = 500
    folder = drills.backups
    try:
        with file_in_its_place(folder):
            assert drills.await_run("back_up") == "FAILURE"
        drills.follow(
            "alert_delivery",
            shows="500",
            mend=lambda: setattr(drills.slack, "status", 200),
        )
    finally:
        drills.slack.status = 200
        drills.await_run("back_up")


@pytest.mark.slow
def test_bundle_not_pinned(drills: Drills) -> None:
    """The folder of the pins is gone when the demo's next tally is to be pinned."""
    page = runbook_pages.parts(runbook_pages.pages()["bundle_not_pinned"].read_text())
    (over,) = runbook_pages.commands(page["It is over when"])
    # Before that the demo's drafts are pinned: without the folder no market would be proposed.
    drills.system.wait_for(
        lambda: drills.system.states().get("PROPOSED", 0) > 0, 400, "proposing a market"
    )
    with file_in_its_place(drills.system.state / "ipfs"):
        drills.await_exit(over, 1, ALERT_SECONDS, "the alert bundle_not_pinned")
        queries = runbook_pages.commands(page["First query"])
        shown = "".join(drills.run(command).stdout for command in queries)
        assert "proposal" in shown, shown
    for command in runbook_pages.commands(page["Safe action"]):
        assert drills.run(command).returncode == 0, command
    drills.await_exit(over, 0, OVER_SECONDS, "the end of bundle_not_pinned")


@pytest.mark.slow
def test_daemon_silent(drills: Drills) -> None:
    """The daemon hangs; it is ended by its process id, and the supervisor starts it again."""
    pid = drills.system.pid("daemon")
    psutil.Process(pid).suspend()
    drills.follow("daemon_silent", shows=str(pid), values={"PID": str(pid)})
    assert drills.system.pid("daemon") != pid


@pytest.mark.slow
def test_monitor_silent(drills: Drills) -> None:
    """Its sensor is off, until it is switched on in Dagster."""
    drills.turn_sensor("monitor_sensor", on=False)
    try:
        drills.follow(
            "monitor_silent",
            shows="monitor",
            mend=lambda: drills.turn_sensor("monitor_sensor", on=True),
        )
    finally:
        drills.turn_sensor("monitor_sensor", on=True)


@pytest.mark.slow
def test_database_unreachable(drills: Drills) -> None:
    """Postgres hangs: the watchdog sends a message by itself, and one when it answers again."""
    postgres = [one for one in drills.system.processes() if process_name(one) == "postgres"]
    for process in postgres:
        process.send_signal(signal.SIGSTOP)

    def resume() -> None:
        for process in postgres:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    def texts() -> str:
        return "\n".join(drills.slack.texts)

    try:
        drills.system.wait_for(
            lambda: "Postgres does not answer" in texts(), ALERT_SECONDS, "reporting Postgres"
        )
        page = runbook_pages.parts(runbook_pages.pages()["database_unreachable"].read_text())
        (over,) = runbook_pages.commands(page["It is over when"])
        assert drills.run(over).returncode != 0
        shown = [drills.run(one).stdout for one in runbook_pages.commands(page["First query"])]
        assert "fail" in shown[0], shown
    finally:
        resume()
    for command in runbook_pages.commands(page["Safe action"]):
        assert drills.run(command).returncode in (0, 1)
    drills.await_exit(over, 0, OVER_SECONDS, "answer of Postgres")
    drills.system.wait_for(
        lambda: "Postgres answers again" in texts(), OVER_SECONDS, "reporting the end"
    )


@pytest.mark.slow
def test_config_changed(drills: Drills) -> None:
    """The admin changes the configuration; the alert closes by itself after its time."""
    prepared = drills.run("zmart admin prepare update-config --dispute-period 172801")
    assert prepared.returncode == 0, prepared.stderr
    send_signed(drills.system, prepared.stdout.split()[-1])
    drills.follow("config_changed", shows="172801")


@pytest.mark.slow
def test_check(drills: Drills) -> None:
    """A row of the projection is damaged, and folded again from the ledger."""
    (market,) = drills.system.query("SELECT market_id FROM market.markets LIMIT 1")[0]
    with psycopg.connect(drills.system.login(Role.INGEST)) as conn:
        conn.execute(
            "UPDATE market.markets SET proposal_likes = proposal_likes + 7 WHERE market_id = %s",
            (market,),
        )
    drills.await_run("reconcile")
    drills.follow(
        "check",
        shows=market.hex(),
        values={"MARKET": market.hex()},
        ends=lambda: drills.await_run("reconcile"),
    )


def send_signed(system: RunningSystem, transaction: str) -> None:
    """Sign a prepared transaction as the admin's wallet does, and send it to the local chain."""
    key = Keypair.from_json((system.state / "localnet" / "keys" / "admin.json").read_text())
    unsigned = VersionedTransaction.from_bytes(base64.b64decode(transaction))
    assert isinstance(unsigned.message, MessageV0)
    signed = VersionedTransaction(unsigned.message, [key])
    answer = httpx.post(
        f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}",
        json={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "sendTransaction",
            "params": [
                base64.b64encode(bytes(signed)).decode(),
                {"encoding": "base64", "preflightCommitment": "confirmed"},
            ],
        },
        timeout=30,
        trust_env=False,
    ).json()
    assert "result" in answer, answer
