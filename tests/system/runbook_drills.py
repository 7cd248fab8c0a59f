"""Following a runbook on a running system: its commands as they stand, until its exit command."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from sqlalchemy import text

from tests.docs import runbook_pages
from tests.fixtures.alert_receivers import Slack
from tests.fixtures.running_system import PROJECT, RunningSystem
from tests.ipfs.gateway_server import Gateway
from tests.system.dagster_graphql import REPOSITORY, await_run, graphql
from tests.system.launchpad import launch
from tests.system.parts import acting
from zmart_pipelines.store.engine import Role

# An alert is raised within five minutes at the latest; here the thresholds are low.
ALERT_SECONDS: Final = 240
OVER_SECONDS: Final = 240
COMMAND_SECONDS: Final = 180

_SENSOR: Final = """
mutation Change($selector: SensorSelector!) {
  %s(sensorSelector: $selector) { __typename ... on PythonError { message } }
}
"""


class Drills:
    """A running system, and the pages that are followed on it."""

    def __init__(
        self, system: RunningSystem, slack: Slack, gateway: Gateway, backups: Path
    ) -> None:
        self.system = system
        self.slack = slack
        self.gateway = gateway
        self.backups = backups

    @staticmethod
    def over(topic: str) -> str:
        """The exit command of a page."""
        page = runbook_pages.parts(runbook_pages.pages()[topic].read_text())
        (command,) = runbook_pages.commands(page["It is over when"])
        return command

    def await_alert(self, topic: str) -> None:
        """Wait until the exit command of a page says that it is not over."""
        self.await_exit(self.over(topic), 1, ALERT_SECONDS, f"the alert {topic}")

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
        self.await_alert(topic)
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
        self.await_exit(self.over(topic), 0, OVER_SECONDS, f"the end of {topic}")

    def pass_time(self, table: str, column: str, seconds: int) -> None:
        """Make the rows of a table so much older, instead of waiting."""
        with acting(self.system, Role.OWNER) as conn:
            # Twice, so that no row takes a key that another still has.
            for step in ("1000 days", f"{seconds - 86_400_000} seconds"):
                conn.execute(text(f"UPDATE {table} SET {column} = {column} - interval '{step}'"))

    def forget_measurement(self) -> None:
        """Have the monitor measure the pin store in its next round, not in up to four minutes."""
        with acting(self.system, Role.OWNER) as conn:
            conn.execute(
                text(
                    "UPDATE ops.heartbeats SET last_success_at = last_success_at"
                    " - interval '240 seconds' WHERE service = 'pin-storage'"
                )
            )

    def await_submissions(self) -> None:
        """Run what checks the keys before it signs."""
        assert self.await_run("aggregate_votes") == "SUCCESS"

    def subject(self, topic: str) -> str:
        """The subject of the open alert of a topic."""
        rows = self.system.query(
            f"SELECT subject FROM ops.alerts WHERE topic = '{topic}' AND cleared_at IS NULL"
        )
        return str(rows[0][0])

    def run(
        self, command: str, values: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of a page in a shell."""
        if not command.startswith("zmart query"):
            for name, value in (values or {}).items():
                command = re.sub(rf"\b{name}\b", value, command)
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
        return await_run(self.system, launch(self.system, job), ALERT_SECONDS)

    def turn_sensor(self, name: str, *, on: bool) -> None:
        """Switch a sensor as the Dagster UI does."""
        selector = {**REPOSITORY, "sensorName": name}
        if on:
            self._mutate(_SENSOR % "startSensor", {"selector": selector})
            return
        found = graphql(
            self.system,
            "query Sensor($selector: SensorSelector!) {"
            " sensorOrError(sensorSelector: $selector) { ... on Sensor { sensorState { id } } } }",
            {"selector": selector},
        )
        state = found["sensorOrError"]["sensorState"]["id"]
        self._mutate(
            "mutation Stop($id: String!) { stopSensor(id: $id) { __typename } }", {"id": state}
        )

    def _mutate(self, query: str, variables: Mapping[str, object]) -> None:
        (answer,) = graphql(self.system, query, variables).values()
        assert "Error" not in answer["__typename"], answer


def send_signed(system: RunningSystem, transaction: str) -> str:
    """Sign a prepared transaction as the admin's wallet does, and send it; its signature."""
    unsigned = VersionedTransaction.from_bytes(base64.b64decode(transaction))
    assert isinstance(unsigned.message, MessageV0)
    return _send(system, unsigned.message, key_of(system, "admin"))


def empty(system: RunningSystem, role: str) -> None:
    """Send away what a key of the local chain has, but the least that an account must keep."""
    key = key_of(system, role)
    balance = ask_chain(system, "getBalance", str(key.pubkey()))["value"]
    blockhash = ask_chain(system, "getLatestBlockhash")["value"]["blockhash"]
    away = transfer(
        TransferParams(
            from_pubkey=key.pubkey(), to_pubkey=Pubkey.new_unique(), lamports=balance - 3_000_000
        )
    )
    message = MessageV0.try_compile(key.pubkey(), [away], [], Hash.from_string(blockhash))
    _send(system, message, key)


def fund(system: RunningSystem, role: str) -> None:
    """Send a key of the local chain what it needs for fees."""
    ask_chain(system, "requestAirdrop", str(key_of(system, role).pubkey()), 1_000_000_000)


def key_of(system: RunningSystem, role: str) -> Keypair:
    """A key of the local chain."""
    return Keypair.from_json((system.state / "localnet" / "keys" / f"{role}.json").read_text())


def ask_chain(system: RunningSystem, method: str, *parameters: Any) -> Any:
    """The result of a call of the local chain."""
    answer = httpx.post(
        f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}",
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)},
        timeout=30,
        trust_env=False,
    ).json()
    assert "result" in answer, answer
    return answer["result"]


def _send(system: RunningSystem, message: MessageV0, key: Keypair) -> str:
    signed = base64.b64encode(bytes(VersionedTransaction(message, [key]))).decode()
    options = {"encoding": "base64", "preflightCommitment": "confirmed"}
    return str(ask_chain(system, "sendTransaction", signed, options))
