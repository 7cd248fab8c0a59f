"""The database is destroyed under the running demo, restored, and every check passes."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from tests.fixtures.running_system import RunningSystem
from tests.system.parts import kill_all_of_postgres
from zmart_pipelines.commands.restore import LOST
from zmart_pipelines.runtime.postgres import recorded_cluster_home

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

ORIGINATING = ("voting.ballots", "community.discussions", "community.users")


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    with RunningSystem() as running:
        yield running


class Commenter:
    """Writes comments until it is stopped, and keeps the ids that the API acknowledged."""

    def __init__(self, system: RunningSystem, market: str) -> None:
        self.acknowledged: list[str] = []
        self._system = system
        self._market = market
        self._wallet = Keypair()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Commenter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _write(self) -> None:
        with httpx.Client(base_url=self._system.api, timeout=20) as http:
            while not self._stopped.wait(0.2):
                try:
                    answer = self._comment(http, len(self.acknowledged))
                except httpx.HTTPError:
                    continue
                if answer.status_code == httpx.codes.CREATED:
                    self.acknowledged.append(answer.json()["discussion"]["id"])

    def _comment(self, http: httpx.Client, number: int) -> httpx.Response:
        body: dict[str, Any] = {"market_id": self._market, "content": f"comment {number}"}
        path = "/api/discussions"
        text = http.post(f"{path}/message", json=body).raise_for_status().json()["message"]
        proof = {
            "wallet": str(self._wallet.pubkey()),
            "message": text,
            "signature": str(self._wallet.sign_message(text.encode())),
        }
        return http.post(path, json=body | proof)


def counts(system: RunningSystem) -> dict[str, int]:
    return {name: system.query(f"SELECT count(*) FROM {name}")[0][0] for name in ORIGINATING}


def test_database_destroyed_between_two_backups(system: RunningSystem) -> None:
    system.start()
    system.wait_for(lambda: system.states().get("ACTIVE", 0) >= 1, 400, "one market active")
    taken = system.run("backup")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    market = system.query("SELECT encode(market_id, 'hex') FROM market.markets LIMIT 1")[0][0]
    with Commenter(system, market) as commenter:
        system.wait_for(lambda: len(commenter.acknowledged) >= 20, 200, "20 comments written")
        before = counts(system)
        destroyed_at = time.monotonic()
        kill_all_of_postgres(system)
        shutil.rmtree(recorded_cluster_home(system.state) / "data")
    acknowledged = list(commenter.acknowledged)
    assert system.process is not None
    assert system.process.wait(120) != 0, "no empty database takes its place"
    assert "zmart restore --at latest" in system.output.read_text()
    restored = system.execute_long("restore", "--at", "latest")
    assert restored.returncode == 0, restored.stdout[-4000:] + restored.stderr
    system.start()
    recovery = time.monotonic() - destroyed_at
    stored = {str(row[0]) for row in system.query("SELECT id FROM community.discussions")}
    lost = [one for one in acknowledged if one not in stored]
    after = counts(system)
    missing = {name: before[name] - after[name] for name in before if after[name] < before[name]}
    sys.stdout.write(
        f"\nrecovered in {recovery:.0f} s (RTO); of {len(acknowledged)} acknowledged comments"
        f" {len(lost)} lost; rows committed before that are missing: {missing or 'none'}\n"
    )
    assert recovery < 3600
    assert lost == []
    assert missing == {}
    assert system.run("check").returncode == 0


@pytest.mark.slow
def test_everything_destroyed_but_the_backup_and_the_chain(system: RunningSystem) -> None:
    system.start()
    system.wait_for(lambda: system.states().get("ACTIVE", 0) >= 1, 400, "one market active")
    before = counts(system)
    assert system.run("backup").returncode == 0
    system.stop()
    home = recorded_cluster_home(system.state)
    refused = system.run("restore", "--from", "latest")
    assert refused.returncode == 1
    assert "the database is not empty" in refused.stdout + refused.stderr
    for folder in (home / "data", system.state / "wal", system.state / "ipfs"):
        shutil.rmtree(folder, ignore_errors=True)
    restored = system.execute_long("restore", "--from", "latest")
    assert restored.returncode == 0, restored.stdout[-4000:] + restored.stderr
    system.start()
    after = counts(system)
    assert all(after[name] >= before[name] for name in before)
    system.stop()
    emptied = system.execute_long("restore", "--from-chain", "--replace", "--yes")
    assert emptied.returncode == 0, emptied.stdout[-4000:] + emptied.stderr
    assert LOST in emptied.stdout
