"""The TypeScript client: strict types, no ``any``, and its own tests."""

from __future__ import annotations

import re

import pytest

from clients.generation.typescript import PACKAGE
from tests.clients.node_package import Run, node_in


@pytest.fixture(scope="module")
def run_node() -> Run:
    """Runs Node in the package; returns what it printed."""
    return node_in(PACKAGE)


pytestmark = pytest.mark.process
TSC = "node_modules/typescript/bin/tsc"


def test_types_are_sound(run_node: Run) -> None:
    run_node(TSC, "-p", "tsconfig.build.json")  # what the examples import
    run_node(TSC, "--noEmit")


def test_nothing_is_typed_any() -> None:
    for path in (*PACKAGE.glob("src/*.ts"), *PACKAGE.glob("test/*.ts")):
        code = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"(?::|<|\bas)\s*any\b|@ts-ignore", code), path


def test_its_own_tests_pass(run_node: Run) -> None:
    options = ("--test", "--test-timeout=60000", "--test-reporter=tap")
    assert re.search(r"# pass \d\d", run_node(*options, "test/*.test.ts"))
