"""Code server and daemon as processes of their own, on the files of the root."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from assets.resources import Backend
from tests.assets.life import Life
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.ledger.readers.backfill import backfill, backfill_client
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.process_environment import dagster_database
from zmart_pipelines.store.engine import Role, login_url
from zmart_pipelines.store.queries import health

ROOT = Path(__file__).parents[2]
# Seconds; generous, because other tests run beside this one.
PATIENCE = 90.0


@pytest.fixture
def life(start_localnet: StartLocalnet, database: str) -> Life:
    return Life.start(start_localnet("--finality-depth", "4", "--dispute-period", "15"), database)


@pytest.fixture
def dagster(life: Life, tmp_path: Path) -> Iterator[Path]:
    """Both processes, started as the supervisor starts them; the folder of their logs."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home)
    port = str(unused_port())
    environment = {
        **os.environ,
        **life.settings.environment(),
        "DAGSTER_HOME": str(home),
        **dagster_database(life.settings),
        "DAGSTER_COMPUTE_LOGS": str(home / "logs"),
        "CODE_SERVER_HOST": "127.0.0.1",
        "CODE_SERVER_PORT": port,
    }
    commands = {
        "code-server": [
            *(sys.executable, "-m", "assets.code_server", "-m", "assets.definitions"),
            *("-h", "127.0.0.1", "-p", port, "--location-name", "zmart_pipelines"),
            "--use-python-environment-entry-point",
        ],
        "daemon": [
            *(sys.executable, "-m", "assets.daemon", "run", "--log-level", "warning"),
            *("-w", str(ROOT / "deploy" / "workspace.yaml")),
        ],
    }
    started = []
    try:
        for name, command in commands.items():
            with (home / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=home
                    )
                )
        yield home
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(90)


def wait_for(what: str, condition: Callable[[], bool], chain_step: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE:.0f} s"
        chain_step()
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_market_is_found_approved_and_finalized_by_the_daemon_alone(
    life: Life, dagster: Path
) -> None:
    """No webhook, no API: the poll finds the market, sensors start the runs."""
    backend = Backend(life.settings)
    read = backend.engine(Role.READ)
    market = life.propose()

    def state() -> int | None:
        with read.connect() as conn:
            found: int | None = conn.exec_driver_sql(
                "SELECT state FROM market.markets WHERE market_id = %s", (market,)
            ).scalar_one_or_none()
        return found

    def step() -> None:
        life.chain.control.advance()

    wait_for("the market", lambda: state() == MarketState.PROPOSED, step)
    life.vote(backend.engine(Role.API), market)
    wait_for("the approval", lambda: state() == MarketState.APPROVED, step)
    life.activate(market)
    life.buy(market, life.wallets[0], outcome=True)
    life.resolve(market, outcome=True)
    wait_for("the resolution", lambda: state() == MarketState.RESOLVING, step)
    life.chain.control.advance(2, seconds=30)
    wait_for("the end", lambda: state() == MarketState.FINALIZED, step)

    with psycopg.connect(login_url(Role.DAGSTER, life.settings)) as conn:
        runs: dict[str, int] = dict(
            conn.execute(
                "SELECT pipeline_name, count(*) FROM dagster.runs WHERE status = 'SUCCESS'"
                " GROUP BY 1"
            ).fetchall()
        )
        keys = {
            key for (key,) in conn.execute("SELECT asset_key FROM dagster.asset_keys").fetchall()
        }
        failed = conn.execute(
            "SELECT count(*) FROM dagster.job_ticks WHERE status = 'FAILURE'"
        ).fetchone()
    assert {"aggregate_votes", "finalize_markets"} <= set(runs), (
        dagster / "daemon.log"
    ).read_text()
    assert failed == (0,)
    assert {'["market", "trades"]', '["submissions", "market_finalizations"]'} <= keys


@pytest.fixture
def uncovered(life: Life) -> tuple[Backend, int]:
    """A ledger whose cursor is at the tip, and the first slot of an uncovered range."""
    for _ in range(5):
        life.propose()
        life.chain.control.advance(3)
    # The finalized window reads its last 32 slots again; they must not be in that range.
    life.chain.control.advance(40)
    life.chain.control.finalize()
    # Several partitions, and a budget under which they take no time.
    sizes = {"backfill_partition_slots": 32, "backfill_calls_per_second": 1000.0}
    life.settings = life.settings.model_copy(update=sizes)
    backend = Backend(life.settings)
    engine = backend.engine(Role.INGEST)
    tip = life.rpc.slot("finalized")
    with backfill_client(life.settings) as rpc:
        backfill(engine, rpc, life.settings, first_slot=0, last_slot=1)
        backfill(engine, rpc, life.settings, first_slot=tip, last_slot=tip)
    with engine.begin() as conn:
        coverage.advance_cursor(conn, "finalized", tip)
    return backend, 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_uncovered_range_is_backfilled_by_the_daemon_alone(
    life: Life, uncovered: tuple[Backend, int], dagster: Path
) -> None:
    """Through the sensor, dynamic partitions, the run queue and the pool."""
    backend, first = uncovered

    def whole() -> bool:
        with backend.engine(Role.READ).connect() as conn:
            return len(health.coverage(conn)) == 1

    assert not whole()
    wait_for("the end of the uncovered range", whole, lambda: None)
    with psycopg.connect(login_url(Role.DAGSTER, life.settings), autocommit=True) as conn:

        def statuses() -> list[Any]:
            return conn.execute(
                "SELECT status FROM dagster.runs WHERE pipeline_name = 'backfill_slots'"
            ).fetchall()

        wait_for("the run's end", lambda: statuses() == [("SUCCESS",)], lambda: None)
        partitions = conn.execute(
            "SELECT partition FROM dagster.dynamic_partitions ORDER BY id"
        ).fetchall()
        done = conn.execute(
            "SELECT partition FROM dagster.event_logs WHERE dagster_event_type ="
            " 'ASSET_MATERIALIZATION' AND asset_key = '[\"chain\", \"backfill\"]' ORDER BY id"
        ).fetchall()
    assert partitions[0] == (f"{first}-31",), (dagster / "daemon.log").read_text()
    # One run took them all and materialized each.
    assert len(partitions) >= 2
    assert done == partitions
