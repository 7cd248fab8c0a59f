"""The catalogue of alert causes is complete and consistent."""

from __future__ import annotations

import re
from pathlib import Path

from zmart_pipelines.monitoring.alert_causes import CAUSES, cause_of
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions.policies import TOPIC_STATES

ROOT = Path(__file__).parents[2]
RANKS = ["medium", "high", "critical"]


def test_severities_only_rise() -> None:
    for cause in CAUSES.values():
        highest = cause.severe or cause.severity
        assert RANKS.index(highest) >= RANKS.index(cause.severity), cause.topic
        assert RANKS.index(cause.ceiling) >= RANKS.index(highest), cause.topic


def test_summaries_are_plain_text() -> None:
    """Pages show them as they are; remedies mark code with backticks, which pages render."""
    for cause in CAUSES.values():
        assert not re.search(r"`|\]\(|\*\*", cause.summary), cause.topic
        assert cause.remedy.count("`") % 2 == 0, cause.topic


def test_topics_are_file_names_of_their_runbooks() -> None:
    for topic, cause in CAUSES.items():
        assert re.fullmatch("[a-z_]+", topic)
        assert cause.topic == topic
        assert cause.runbook == f"docs/runbooks/{topic}.md"


def test_every_topic_of_a_plan_is_a_cause() -> None:
    assert set(TOPIC_STATES) <= set(CAUSES)


def test_every_key_that_the_code_names_is_a_cause() -> None:
    """``AlertKey("topic", …)`` in the code, and every constant that it is given."""
    named = set()
    for package in ("zmart_pipelines", "assets", "api"):
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text()
            named |= set(re.findall(r'AlertKey\(\s*"([a-z_]+)"', text))
            if "AlertKey(" in text:
                named |= set(
                    re.findall(r'^\w*TOPIC\w*(?:: \w+)? = "([a-z_]+)"', text, re.MULTILINE)
                )
    assert {"breaker", "health", "run", "check", "switch"} <= named
    for topic in named:
        assert cause_of(topic).topic == topic


def test_operations_page_has_the_row_of_each_cause() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    expected = []
    for cause in CAUSES.values():
        severity = cause.severity if cause.severe is None else f"{cause.severity}, {cause.severe}"
        link = f"[`{cause.topic}`]({cause.runbook.removeprefix('docs/')})"
        expected.append(f"| {link} | {severity} | {cause.summary} | {cause.remedy} |")
    rows = [line for line in page.splitlines() if line.startswith("| [`") and "runbooks/" in line]
    assert rows == expected


def test_thresholds_of_causes_are_settings() -> None:
    for cause in CAUSES.values():
        assert set(cause.settings) <= set(Settings.model_fields), cause.topic
