"""The dashboard: its types, its own tests, and that the committed files are what it builds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.dashboard_files import FOLDER
from tests.clients.node_package import Run, node_in

pytestmark = pytest.mark.process

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture(scope="module")
def run_node() -> Run:
    """Runs Node in the folder of the dashboard; returns what it printed."""
    return node_in(WEB)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_committed_files_are_what_the_sources_build(run_node: Run, tmp_path: Path) -> None:
    run_node("build.mjs", tmp_path / "app")
    assert contents(tmp_path / "app") == contents(FOLDER), "run make web"


def test_types_are_sound(run_node: Run) -> None:
    run_node("node_modules/typescript/bin/tsc")


def test_nothing_is_typed_any() -> None:
    for path in WEB.glob("src/**/*.ts*"):
        code = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"(?::|<|\bas)\s*any\b|@ts-ignore", code), path


def test_its_own_tests_pass(run_node: Run) -> None:
    options = ("--test", "--test-timeout=60000", "--test-reporter=tap")
    assert re.search(r"# pass \d+", run_node(*options, "test/*.test.ts"))
