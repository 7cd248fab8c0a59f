"""Operators' runs from the launchpad, launched as the UI does, while twenty runs are queued."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import psycopg
import pytest

from tests.fixtures.control_plane import Observer
from tests.fixtures.running_system import RunningSystem
from tests.system.launchpad import launch
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.engine import Role

pytestmark = [pytest.mark.system, pytest.mark.timed, pytest.mark.timeout(900)]

# Seconds; generous, because other work may run beside this. The goal is 10; the test
# prints what it measures.
PATIENCE = 120.0
# Jobs of the lanes that submit and of the background, which are launched without configuration.
OTHERS = ("aggregate_votes", "reconcile", "finalize_markets", "refresh_statistics") * 5


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    with RunningSystem() as running:
        running.start()
        yield running


def runs(system: RunningSystem, run_ids: list[str]) -> list[tuple[str, float | None]]:
    """Status and start (Unix seconds) of runs."""
    with psycopg.connect(system.login(Role.DAGSTER)) as conn:
        return conn.execute(
            "SELECT status, start_time FROM dagster.runs WHERE run_id = ANY(%s)", (run_ids,)
        ).fetchall()


def seconds_until(condition: Callable[[], bool], since: float) -> float:
    while not condition():
        assert time.monotonic() - since < PATIENCE
        time.sleep(0.05)
    return time.monotonic() - since


def operate(
    system: RunningSystem, job: str, asset: str, config: dict[str, Any], effect: Callable[[], bool]
) -> float:
    """Launch an operators' job behind twenty others; return the seconds until its effect."""
    others = [launch(system, other) for other in OTHERS]
    assert not effect()
    start = time.monotonic()
    run_id = launch(system, job, {"ops": {asset: {"config": config}}})
    seconds = seconds_until(effect, start)
    waiting = [status for status, started in runs(system, others) if started is None]
    ((_, started),) = runs(system, [run_id])
    assert started is not None
    assert waiting, "it overtook none of those before it"
    return seconds


def test_operators_runs_start_before_twenty_that_were_queued_before(
    system: RunningSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    system.wait_for(lambda: system.states().get("ACTIVE", 0) > 0, 240, "one market active")
    psutil.Process(system.pid("demo")).suspend()  # or the cast would resolve it
    observer = Observer(system)
    chain = observer.reader
    market = next(
        market
        for market in chain.markets(commitment="confirmed").value
        if market.state == MarketState.ACTIVE
    )

    def is_resolved() -> bool:
        found = chain.market(market.market_id, "confirmed").value
        return found is not None and found.state == MarketState.RESOLVING

    def is_off() -> bool:
        rows = system.query("SELECT enabled FROM ops.switches WHERE action = 'approve_proposal'")
        return rows == [(False,)]

    def is_prepared() -> bool:
        with psycopg.connect(system.login(Role.DAGSTER)) as conn:
            return bool(
                conn.execute(
                    "SELECT 1 FROM dagster.event_logs WHERE event LIKE '%1 pause transaction%'"
                ).fetchone()
            )

    switch = {"action": "approve_proposal", "enabled": False, "reason": "drill"}
    resolution = {
        "market": market.market_id.hex(),
        "outcome": "YES",
        "evidence": "Three exchanges closed above 200.",
        "before_end": True,
    }
    figures = {
        "switch": operate(system, "switch_submissions", "switches", switch, is_off),
        "resolution": operate(
            system, "resolve_market", "market_resolutions", resolution, is_resolved
        ),
        "admin": operate(
            system,
            "prepare_admin_transaction",
            "admin_transactions",
            {"transaction": "pause"},
            is_prepared,
        ),
    }
    with capsys.disabled():
        shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in figures.items())
        sys.stdout.write(f"\nfrom the launch to the effect, behind twenty runs: {shown}\n")
