"""Rules of the house that no other tool checks. Imports are import-linter's business."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("zmart_pipelines", "assets", "api", "localnet", "demo")
MAX_LINES = 400

# Settings are read in one place; the others pass the environment on to children.
MAY_READ_ENVIRONMENT = {
    "zmart_pipelines/settings.py",
    "zmart_pipelines/runtime/processes.py",
    "zmart_pipelines/commands/check.py",
    "localnet/program/build.py",
}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((PROJECT / package).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def test_no_module_is_longer_than_one_can_read() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in modules()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
                readers.add(name(path))
    assert readers <= MAY_READ_ENVIRONMENT


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_what_it_is(package: str) -> None:
    assert ast.get_docstring(ast.parse((PROJECT / package / "__init__.py").read_text()))


@pytest.mark.process
def test_the_command_line_loads_neither_dagster_nor_litestar() -> None:
    code = (
        "import sys, zmart_pipelines.cli\n"
        "heavy = {'dagster', 'litestar', 'pandas', 'anchorpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
