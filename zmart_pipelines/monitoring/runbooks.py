"""The runbooks in ``docs/runbooks``, as parts that a page can show. Reads files, nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from zmart_pipelines.monitoring.alert_causes import CAUSES

_ROOT: Final = Path(__file__).resolve().parents[2]
_SECTION: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE: Final = re.compile(r"^```\w*\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)


class RunbookStep(msgspec.Struct, frozen=True):
    """Text, or commands to copy: one of the two is not empty."""

    text: str
    commands: str


class RunbookSection(msgspec.Struct, frozen=True):
    """A part of a runbook under its heading."""

    title: str
    steps: list[RunbookStep]


def read_runbook(topic: str) -> list[RunbookSection] | None:
    """Return the runbook of a cause; None where there is no such cause or no such file."""
    cause = CAUSES.get(topic)
    if cause is None:
        return None
    try:
        text = (_ROOT / cause.runbook).read_text()
    except FileNotFoundError:
        return None
    return parse_runbook(text)


def parse_runbook(markdown: str) -> list[RunbookSection]:
    """Return the sections below the page's title."""
    _, *parts = _SECTION.split(markdown)
    return [
        RunbookSection(title.strip(), _steps(body))
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def _steps(body: str) -> list[RunbookStep]:
    steps: list[RunbookStep] = []
    # Every second piece is the content of a fence.
    for number, piece in enumerate(_FENCE.split(body)):
        if number % 2:
            steps.append(RunbookStep("", piece.rstrip()))
        else:
            paragraphs = (" ".join(one.split()) for one in piece.split("\n\n"))
            steps += [RunbookStep(one, "") for one in paragraphs if one]
    return steps
