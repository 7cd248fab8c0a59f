"""Alerts become more severe with age, until they are acknowledged or silenced."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.postgres import name_database
from tests.monitoring.scenarios.stage import Stage
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring.alert_causes import CAUSES, Cause, Escalation
from zmart_pipelines.monitoring.alert_handling import acknowledge, silence
from zmart_pipelines.monitoring.alerts import AlertKey, raise_alert
from zmart_pipelines.monitoring.escalation import severity_at
from zmart_pipelines.monitoring.severity import SEVERITIES, rank
from zmart_pipelines.store.queries.alerts import open_alerts

HOUR, DAY = 3_600, 86_400


def raised(stage: Stage, key: AlertKey, severity: Any = "medium") -> None:
    with stage.engine.begin() as conn:
        raise_alert(conn, key, severity, "it lasts")


def severities(stage: Stage) -> dict[str, str]:
    with stage.engine.connect() as conn:
        return {row.topic: row.severity for row in open_alerts(conn, 10)}


def test_alerts_rise_step_by_step_to_their_ceiling(stage: Stage) -> None:
    for topic in ("health", "resolution_due", "switch", "check"):
        raised(stage, AlertKey(topic))
    stage.deliver()
    expected = {"health": "medium", "resolution_due": "medium", "switch": "medium"}
    assert severities(stage) == {**expected, "check": "medium"}
    stage.pass_time(601)
    stage.deliver()
    assert severities(stage)["health"] == "high"
    # Seen again with the severity of its condition, it stays where its age has raised it.
    raised(stage, AlertKey("health"))
    assert severities(stage)["health"] == "high"
    stage.pass_time(601)
    stage.deliver()
    assert severities(stage)["health"] == "critical"
    assert severities(stage)["resolution_due"] == "medium"
    for _ in range(3):
        stage.pass_time(DAY)
        stage.deliver()
    risen = {"health": "critical", "resolution_due": "high", "switch": "high", "check": "medium"}
    assert severities(stage) == risen
    texts = "\n".join(stage.slack.texts)
    assert "*high*: it lasts\n  health, since" in texts
    assert "*critical*: it lasts\n  health, since" in texts
    assert texts.count("  health, since") == 3, "once for each severity"


def test_acknowledged_alert_does_not_rise_and_is_not_repeated(stage: Stage) -> None:
    raised(stage, AlertKey("health"))
    stage.deliver()
    with stage.engine.begin() as conn:
        (alert,) = open_alerts(conn, 10)
        acknowledge(conn, alert.id, "an operator")
    stage.pass_time(DAY)
    stage.deliver()
    assert severities(stage) == {"health": "medium"}
    assert len(stage.slack.texts) == 1


def test_silenced_alert_is_sent_when_the_silence_ends(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        silence(conn, topic="run", lasts=timedelta(hours=4), reason="an upgrade", by="an operator")
    raised(stage, AlertKey("run", subject="reconcile"), "high")
    stage.deliver()
    assert stage.slack.texts == []
    stage.pass_time(4 * HOUR + 1)
    stage.deliver()
    assert len(stage.slack.texts) == len(stage.mail.received) == 1


@given(
    cause=st.sampled_from(sorted(CAUSES.values(), key=lambda one: one.topic)),
    severity=st.sampled_from(SEVERITIES),
    hours=st.integers(0, 1_000),
)
def test_severity_never_falls_and_never_passes_the_ceiling(
    cause: Cause, severity: Any, hours: int
) -> None:
    step = timedelta(days=1)
    now = severity_at(cause, severity, timedelta(hours=hours), step)
    later = severity_at(cause, severity, timedelta(hours=hours + 24), step)
    assert rank(severity) <= rank(now) <= rank(later)
    assert rank(later) <= max(rank(cause.ceiling), rank(severity))


def test_list_shows_severity_age_and_runbook(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    name_database(monkeypatch, stage.database)
    monkeypatch.setenv("ZMART_STATE", str(stage.folder / "no-state"))
    raised(stage, AlertKey("run", subject="reconcile"), "high")
    stage.pass_time(2 * DAY + 3 * HOUR + 5 * 60)
    with stage.engine.begin() as conn:
        (alert,) = open_alerts(conn, 10)
        acknowledge(conn, alert.id, "an operator")
    answer = CliRunner().invoke(main, ["alerts", "list"])
    assert answer.exit_code == 1
    first = answer.output.splitlines()[0]
    assert " high " in first
    assert first.endswith(" (2d 3h)  run:reconcile")
    assert "acknowledged by an operator" in answer.output
    assert "runbook: docs/runbooks/run.md" in answer.output


def test_escalations_of_the_catalogue_are_settings() -> None:
    fields = {one.value for one in Escalation if one is not Escalation.NONE}
    assert fields == {"alert_escalation_fast_seconds", "alert_escalation_slow_seconds"}
