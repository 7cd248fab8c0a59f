"""The client libraries' examples take a market from its draft to a claim, by the API alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clients.generation.node import NODE, install_packages
from clients.generation.typescript import PACKAGE
from tests.fixtures.running_system import PROJECT, RunningSystem

pytestmark = pytest.mark.system

TSC = "node_modules/typescript/bin/tsc"
LIFE_SECONDS = 400
STEPS = (
    *("signs in", "drafts a question", "creates the market", "vote on the proposal"),
    *("activates the market", "buys YES", "proposes NO", "disputes it", "Both holders vote"),
    "The winner claims",
)


def lived(system: RunningSystem, *command: str | Path, folder: Path) -> None:
    """Run an example; assert that each step came, and that the chain paid what it says."""
    rpc = f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}"
    done = subprocess.run(
        [*command, "--api", system.api, "--rpc", rpc],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIFE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    positions = [done.stdout.index(step) for step in STEPS]
    assert positions == sorted(positions)
    claimed = re.fullmatch(r"claimed (\d+) lamports", done.stdout.splitlines()[-1])
    assert claimed is not None
    signature = re.findall(r"\((\w{64,88})\)", done.stdout)[-1]
    events = system.get(f"/api/transactions/{signature}")["events"]
    paid = {one["name"]: one["data"] for one in events}["WinningsClaimed"]
    assert int(claimed[1]) > 0
    assert paid["amount"] == int(claimed[1])


def test_python_example_lives_a_market(running_system: RunningSystem) -> None:
    example = PROJECT / "clients" / "python" / "examples" / "market_life.py"
    lived(running_system, sys.executable, example, folder=PROJECT)


def test_typescript_example_lives_a_market(running_system: RunningSystem) -> None:
    install_packages(PACKAGE)
    subprocess.run([NODE, TSC, "-p", "tsconfig.build.json"], cwd=PACKAGE, check=True)
    lived(running_system, NODE, "examples/market_life.ts", folder=PACKAGE)
