"""Rules that no other tool checks; imports are checked by import-linter."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("zmart_pipelines", "assets", "api", "localnet", "demo")

# Settings are read in one module; the others pass the environment on to child processes.
MAY_READ_ENVIRONMENT = {
    "zmart_pipelines/settings.py",
    "zmart_pipelines/runtime/process_environment.py",
    "localnet/program/build.py",
}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((PROJECT / package).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def test_only_settings_read_the_environment() -> None:
    readers = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
                readers.add(name(path))
    assert readers == MAY_READ_ENVIRONMENT


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_a_docstring(package: str) -> None:
    assert ast.get_docstring(ast.parse((PROJECT / package / "__init__.py").read_text()))


@pytest.mark.process
def test_command_line_imports_neither_dagster_nor_litestar() -> None:
    code = (
        "import sys, zmart_pipelines.cli\n"
        "heavy = {'dagster', 'litestar', 'pandas', 'anchorpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_hypothesis_deadlines_are_set_in_the_profiles_alone() -> None:
    setters = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "settings"
        if any(keyword.arg == "deadline" for keyword in node.keywords)
    }
    assert setters == set()
