"""What exists in the project: files, modules and their names, tables, commands, settings.

Everything is read from source text or from modules that import in a moment, so that the tests
of the documentation need neither a database nor Dagster.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import click

from zmart_pipelines.cli import main
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import metadata

ROOT = Path(__file__).parents[2]
PACKAGES = ("zmart_pipelines", "assets", "api", "localnet", "demo", "tests", "benchmarks")
FOLDERS = (*PACKAGES, "clients", "docs", "deploy", ".ci", ".github")
_TARGET = re.compile(r"^([a-z][\w-]*)\s*:(?!=)", re.MULTILINE)


@cache
def files() -> frozenset[str]:
    """Return the project's files, relative to its root."""
    found = {path.name for path in ROOT.iterdir() if path.is_file()}
    for folder in FOLDERS:
        found |= {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts)
        }
    return frozenset(found)


@cache
def folders() -> frozenset[str]:
    """Return the folders that hold the project's files, relative to its root."""
    return frozenset(
        parent.as_posix() for file in files() for parent in Path(file).parents if parent.name
    )


def has_path(text: str, page: str = "README.md") -> bool:
    """Return whether a path exists: from the root, from the page, or as the end of another."""
    path = text.rstrip("/").removeprefix("./")
    near = (Path(page).parent / path).as_posix()
    known = files() | folders()
    return path in known or near in known or any(one.endswith(f"/{path}") for one in known)


@cache
def modules() -> dict[str, Path]:
    """Return the project's Python modules by dotted name."""
    found = {}
    for file in files():
        if file.endswith(".py") and file.split("/")[0] in PACKAGES:
            name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            found[name] = ROOT / file
    return found


@cache
def names(module: str) -> frozenset[str]:
    """Return what a module defines itself, with the members of its classes as ``Class.member``."""
    return frozenset(_defined(ast.parse(modules()[module].read_text()).body))


def _defined(body: Sequence[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef(name=name):
                yield name
                yield from (f"{name}.{member}" for member in _defined(node.body))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (one.id for one in targets if isinstance(one, ast.Name))


def has_code(dotted: str) -> bool:
    """Return whether a dotted name is a module or something that a module defines."""
    parts = dotted.split(".")
    return any(
        (module := ".".join(parts[:cut])) in modules()
        and (cut == len(parts) or ".".join(parts[cut:]) in names(module))
        for cut in range(len(parts), 0, -1)
    )


def has_code_below(dotted: str) -> bool:
    """Return whether a dotted name, completed by leading packages, exists."""
    head = dotted.split(".")[0]
    return any(
        has_code(f"{module.removesuffix(head)}{dotted}")
        for module in modules()
        if module.split(".")[-1] == head
    )


@cache
def short_names() -> frozenset[str]:
    """Return the last parts of module names, schemas and tables: what prose may begin with."""
    code = {module.split(".")[-1] for module in modules() if not module.startswith("tests")}
    return frozenset(code | {table.name for table in metadata.tables.values()} | _schemas())


def _schemas() -> set[str]:
    return {table.schema for table in metadata.tables.values() if table.schema}


@cache
def relations() -> frozenset[str]:
    """Return ``schema.table``, ``table.column`` and ``schema.table.column`` of all tables."""
    found = set()
    for table in metadata.tables.values():
        found.add(f"{table.schema}.{table.name}")
        for column in table.columns:
            found |= {f"{table.name}.{column.name}", f"{table.schema}.{table.name}.{column.name}"}
    return frozenset(found)


@cache
def make_targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    return frozenset(_TARGET.findall((ROOT / "Makefile").read_text()))


@cache
def setting_names() -> frozenset[str]:
    """Return the environment variables that the settings read."""
    return frozenset(name.upper() for name in Settings.model_fields)


@cache
def dagster_source() -> str:
    """Return the text of the code location, to find the names of its definitions in."""
    return "\n".join(path.read_text() for path in sorted((ROOT / "assets").rglob("*.py")))


def command_fault(words: Sequence[str]) -> str | None:
    """Return what is wrong with the words after ``zmart``, or None.

    Commands must exist, and so must every option that is given.
    """
    command: click.Command = main
    for word in words:
        if word in {"|", "&&", ";", "#"}:
            break
        if word.startswith("-"):
            option = word.split("=")[0]
            if option not in _options(command) and not _passes_options_on(command):
                return f"`{command.name}` has no option {option}"
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]*", word):
            found = command.commands.get(word)
            if found is None:
                return f"`{command.name}` has no command {word}"
            command = found
    return None


def _passes_options_on(command: click.Command) -> bool:
    return bool(command.context_settings.get("ignore_unknown_options"))


def _options(command: click.Command) -> set[str]:
    options = {"--help", "-h", "--version"}
    for parameter in command.params:
        options |= {*parameter.opts, *parameter.secondary_opts}
    return options
