"""Runbooks as pages show them."""

from __future__ import annotations

from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.monitoring.runbooks import RunbookStep, parse_runbook, read_runbook
from zmart_pipelines.runtime.processes import PROJECT

SECTIONS = [
    "Symptom",
    "First query",
    "Safe action",
    "Forbidden action",
    "It is over when",
]


def test_every_cause_has_a_runbook_with_its_five_parts() -> None:
    for topic, cause in CAUSES.items():
        sections = read_runbook(topic)
        assert sections is not None, topic
        assert [one.title for one in sections] == SECTIONS, topic
        assert all(one.steps for one in sections), topic
        shown = " ".join(step.text + step.commands for one in sections for step in one.steps)
        assert "```" not in shown
        text = (PROJECT / cause.runbook).read_text()
        words = text.partition("\n## ")[2].replace("```sh", "").replace("```", "")
        written = [word for word in words.split() if word != "##"]
        titles = " ".join(one.title for one in sections).split()
        assert sorted(written) == sorted(shown.split() + titles), topic


def test_paragraphs_and_commands_keep_their_order() -> None:
    (section,) = parse_runbook("# T\n\n## Do\n\nFirst\nthis.\n\n```sh\na\nb\n```\n\nThen that.\n")
    assert section.steps == [
        RunbookStep("First this.", ""),
        RunbookStep("", "a\nb"),
        RunbookStep("Then that.", ""),
    ]


def test_unknown_causes_have_none() -> None:
    assert read_runbook("../../README") is None
