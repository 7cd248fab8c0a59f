"""Runbooks: one page for each cause, with its five parts, and commands that exist."""

from __future__ import annotations

import re

import click
import pytest

from tests.docs import runbook_pages
from tests.docs.project_index import ROOT
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role

PAGES = runbook_pages.pages()
VALUES = {
    "MARKET": "07" * 32,
    "ID": "7",
    "SIGNATURE": "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6",
    "NAME": "action:finalize_market",
    "ACTION": "finalize_market",
    "JOB": "reconcile",
    "PID": "1",
}
# Tools of every machine.
OTHERS = {"curl", "date", "df", "kill"}


def test_there_is_one_page_for_each_cause() -> None:
    assert set(PAGES) == set(CAUSES)
    index = (runbook_pages.FOLDER / "README.md").read_text()
    assert re.findall(r"^\| \[`(\w+)`\]\(\1\.md\) \|", index, re.MULTILINE) == list(CAUSES)


@pytest.mark.parametrize("topic", PAGES)
def test_page_has_its_five_parts(topic: str) -> None:
    page = PAGES[topic].read_text()
    assert page.startswith(f"# `{topic}`\n")
    found = runbook_pages.parts(page)
    assert tuple(found) == runbook_pages.PARTS
    assert all(found.values())
    assert runbook_pages.commands(found["First query"])
    assert runbook_pages.commands(found["Safe action"])
    assert not runbook_pages.commands(found["Forbidden action"])
    (over,) = runbook_pages.commands(found["It is over when"])
    assert over.startswith("zmart query ")


@pytest.mark.parametrize("topic", PAGES)
def test_commands_of_a_page_exist(topic: str) -> None:
    for command in runbook_pages.commands(PAGES[topic].read_text()):
        name, *arguments = runbook_pages.filled(command, VALUES)
        if name == "zmart":
            parsed(arguments)
        else:
            assert name in OTHERS, command


def parsed(arguments: list[str]) -> None:
    """Parse a command line of zmart as the program does, without running it."""
    command: click.Command = main
    rest = list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            raise click.UsageError(f"there is no command {name}")
        command = command.commands[name]
    command.make_context(command.name, rest)


@pytest.mark.parametrize(
    "wrong",
    [["query"], ["switch", "all", "sideways"], ["no-such-command"], ["tx", "--loud", "x"]],
)
def test_command_that_does_not_exist_is_found(wrong: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parsed(wrong)


def test_addresses_of_the_api_are_routes() -> None:
    routes = (ROOT / "docs" / "api.md").read_text() + (ROOT / "docs" / "operations.md").read_text()
    for path in PAGES.values():
        for command in runbook_pages.commands(path.read_text()):
            if command.startswith("curl"):
                found = re.search(r"http://127\.0\.0\.1:4000(/\S+)", command)
                assert found is not None
                assert found[1] in routes


def test_statements_run_as_the_reading_role(database: str) -> None:
    reader = role_engine(Role.READ, database)
    faults = []
    for topic, statement in runbook_pages.statements():
        with reader.connect() as conn:
            try:
                conn.exec_driver_sql(statement)
            except Exception as error:
                faults.append(f"{topic}: {str(error).splitlines()[0]}: {statement}")
    reader.dispose()
    assert faults == []


def test_table_of_causes_names_tests_that_exist() -> None:
    """The table of docs/operations.md: cause, test, runbook."""
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.split("## Causes and their tests\n")[1].split("\n## ")[0]
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \| .+? \| \[(\w+)\.md\]\(runbooks/(\w+)\.md\) \|$",
        section,
        re.MULTILINE,
    )
    assert [row[0] for row in rows] == list(CAUSES)
    for topic, place, shown, linked in rows:
        assert shown == linked == topic
        file, test = place.strip("`").split("::")
        text = (ROOT / file).read_text()
        assert f"def {test}(" in text, f"{file} has no test {test}"
        assert re.search(rf"\b{topic}\b", text) is not None, f"{file} does not name {topic}"
