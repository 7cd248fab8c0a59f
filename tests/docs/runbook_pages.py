"""The pages of docs/runbooks, cut into their parts and commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.docs.project_index import ROOT

FOLDER: Final = ROOT / "docs" / "runbooks"
PARTS: Final = ("Symptom", "First query", "Safe action", "Forbidden action", "It is over when")
_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACEHOLDER: Final = re.compile(r"\b(MARKET|ID|SIGNATURE|NAME|ACTION|JOB|PID)\b")


def pages() -> dict[str, Path]:
    """The page of each cause."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.md")) if path.stem != "README"}


def parts(page: str) -> dict[str, str]:
    """The parts of a page by their headings, in order."""
    _, *rest = _HEADING.split(page)
    return {name: text.strip() for name, text in zip(rest[::2], rest[1::2], strict=True)}


def commands(text: str) -> list[str]:
    """The command lines of a part, in order."""
    return [line for block in _BLOCK.findall(text) for line in block.splitlines() if line.strip()]


def filled(command: str, values: Mapping[str, str]) -> list[str]:
    """The words of a command line, its placeholders replaced outside of SQL."""
    words = shlex.split(command)
    if words[:2] == ["zmart", "query"]:
        return words
    return [_PLACEHOLDER.sub(lambda found: values[found[0]], word) for word in words]


def statements() -> Iterator[tuple[str, str]]:
    """Every SQL statement with the topic of its page."""
    for topic, path in pages().items():
        for command in commands(path.read_text()):
            words = shlex.split(command)
            if words[:2] == ["zmart", "query"]:
                yield topic, words[-1]
