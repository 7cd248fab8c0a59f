"""The commands that a Dagster user starts with, from the repository's root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.running_system import PROJECT, RunningSystem
from zmart_pipelines.runtime.running_system import SystemNotRunning, require_running_system
from zmart_pipelines.settings import Settings

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

SCRIPTS = Path(sys.executable).parent
COUNT_MARKETS = """
from sqlalchemy import text
from assets.resources import Backend
from zmart_pipelines.store.engine import Role
with Backend().engine(Role.READ).connect() as conn:
    print("markets:", conn.execute(text("SELECT count(*) FROM market.markets")).scalar_one())
"""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("dagster definitions validate", "All code locations passed validation"),
        ("dagster asset list -m assets.definitions", "market/positions"),
        ("dg check defs", "All definitions loaded successfully"),
        ("dg list defs --json", '"market/positions"'),
    ],
)
def test_command_loads_the_definitions_without_a_running_system(
    command: str, expected: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "ZMART_STATE": str(tmp_path), "COLUMNS": "200"}
    environment.pop("DAGSTER_HOME", None)
    name, *arguments = command.split()
    answer = subprocess.run(
        [SCRIPTS / name, *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    output = answer.stdout + answer.stderr
    assert answer.returncode == 0, output
    assert expected in output


def test_code_outside_the_system_finds_it_by_its_state_folder(
    running_system: RunningSystem,
) -> None:
    """Only ZMART_STATE is set here, as in a shell in which ``dagster dev`` is started."""
    assert "DATABASE_URL" not in running_system.environment
    answer = running_system.execute(sys.executable, "-c", COUNT_MARKETS)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("markets: ")


def test_without_a_system_the_message_names_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(SystemNotRunning, match="make up"):
        require_running_system(Settings(zmart_state=tmp_path))
    external = Settings(zmart_state=tmp_path, database_url="postgresql://db.example/zmart")
    assert require_running_system(external).database_url == external.database_url
