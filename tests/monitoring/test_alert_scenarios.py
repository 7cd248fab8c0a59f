"""Each cause of the catalogue: brought about, raised once, sent once to each receiver, closed.

Its runbook is followed meanwhile, by the page's own commands, until its exit command succeeds.
"""

from __future__ import annotations

import ast
import re
import time
from email.message import Message
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest
from sqlalchemy import create_engine, select

from tests.monitoring.scenarios import api_process, markets, submitter, system
from tests.monitoring.scenarios.runbook_drill import NEEDS_A_SYSTEM, RunbookDrill
from tests.monitoring.scenarios.stage import SCENARIOS, Stage
from zmart_pipelines.health.watchdog import Watchdog
from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.store.tables.ops import alerts

ROOT = Path(__file__).parents[2]
MODULES = (markets, submitter, system, api_process)
SYSTEM_DRILLS = "tests/system/test_runbook_drills.py"
# Causes that cannot go the way of the others, and the test that shows each.
ELSEWHERE: Final = MappingProxyType(
    {
        # Without Postgres there is no row.
        "database_unreachable": "tests/monitoring/test_alert_scenarios.py"
        "::test_postgres_that_is_away_reaches_both_receivers",
        # The receiver that fails cannot receive the message about its own failure.
        "alert_delivery": "tests/monitoring/test_alert_delivery.py"
        "::test_rejected_message_is_sent_later",
    }
)


def test_every_cause_has_a_scenario() -> None:
    assert {*SCENARIOS, *ELSEWHERE} == set(CAUSES)
    assert not set(SCENARIOS) & set(ELSEWHERE)
    for place in ELSEWHERE.values():
        file, name = place.split("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), place
    for module in MODULES:
        assert module.__name__ in {one.act.__module__ for one in SCENARIOS.values()}


def table_of_causes() -> dict[str, tuple[str, str]]:
    """The scenario and the drill of each cause, in the table of docs/operations.md."""
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(tests/.+?)` \| (.+?) \|", page, re.MULTILINE)
    return {topic: (scenario, drill) for topic, scenario, drill in rows}


def test_operations_page_names_the_scenario_of_each_cause() -> None:
    rows = {topic: scenario for topic, (scenario, _) in table_of_causes().items()}
    expected = {
        topic: f"{one.act.__module__.replace('.', '/')}.py::{one.act.__name__}"
        for topic, one in SCENARIOS.items()
    }
    assert rows == expected | dict(ELSEWHERE)


def test_runbook_of_each_cause_has_a_drill() -> None:
    """In its scenario, in a running system, or in both."""
    rows = table_of_causes()
    assert set(rows) == set(CAUSES)
    in_a_system = drills_of_the_system()
    for topic, (_, drill) in rows.items():
        expected = [] if topic in NEEDS_A_SYSTEM else ["its scenario"]
        expected += [f"`{SYSTEM_DRILLS}::{name}`" for name in in_a_system.get(topic, ())]
        assert drill == ", ".join(expected), topic
        assert expected, f"the runbook of {topic} has no drill"


def drills_of_the_system() -> dict[str, list[str]]:
    """The tests in a running system by the topics whose pages they take."""
    found: dict[str, list[str]] = {}
    for node in ast.parse((ROOT / SYSTEM_DRILLS).read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            words = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
            for topic in CAUSES:
                if topic in words:
                    found.setdefault(topic, []).append(node.name)
    return found


def text_of(mail: Message) -> str:
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    return body.decode()


@pytest.mark.parametrize("topic", sorted(SCENARIOS))
def test_cause_is_raised_once_sent_to_both_receivers_and_closed(topic: str, stage: Stage) -> None:
    cause, played = CAUSES[topic], SCENARIOS[topic]
    act = played.act(stage)
    next(act)
    held = stage.open()
    (mine,) = (key for key in held if key.topic == topic)
    assert {key.topic for key in held} == {topic} | played.also
    assert stage.deliver().faults == ()
    with stage.engine.connect() as conn:
        row = conn.execute(select(alerts).where(alerts.c.topic == topic)).one()
    assert row.severity in (cause.severity, cause.severe)
    (posted,), (mailed,) = stage.slack.texts, stage.mail.received
    for message in (posted, text_of(mailed)):
        assert f"  {mine}, since " in message
        assert f"*{row.severity}*: " in message
        assert cause.runbook in message
        assert "`" not in message, "messages are plain text"
        assert message.count("runbook: ") == len(held), "each alert is in it once"
    assert stage.deliver().sent == ()
    drill = None
    if topic not in NEEDS_A_SYSTEM:
        drill = RunbookDrill(stage, mine)
        market = None if mine.market_id is None else mine.market_id.hex()
        drill.follow(played.shows or market or mine.subject or row.message)

    assert next(act, "over") == "over"
    assert topic not in {key.topic for key in stage.open()}
    if drill is not None:
        drill.assert_over()
    with stage.engine.connect() as conn:
        ended = conn.execute(select(alerts).where(alerts.c.topic == topic)).one()
    assert (ended.id, ended.cleared_at is None) == (row.id, False)
    assert len(stage.deliver().sent) == 2
    assert f"ended: {mine}" in stage.slack.texts[1]
    assert f"ended: {mine}" in text_of(stage.mail.received[1])


def test_postgres_that_is_away_reaches_both_receivers(stage: Stage) -> None:
    """The cause ``database_unreachable``."""
    settings = stage.settings(watchdog_database_seconds=1)
    with system.watchdog(stage) as (_, dagster):
        away = create_engine(f"postgresql+psycopg://zmart@127.0.0.1:{unused_port()}/zmart")
        watching = Watchdog(settings, stage.posters(), pipelines=away, dagster=dagster)
        watching.watch_once()
        assert stage.slack.received == []
        time.sleep(1)
        for _ in range(2):
            watching.watch_once()
        (posted,), (mailed,) = stage.slack.texts, stage.mail.received
        for message in (posted, text_of(mailed)):
            assert CAUSES["database_unreachable"].runbook in message
        watching._pipelines = stage.engine
        for _ in range(2):
            watching.watch_once()
        assert "Postgres answers again" in stage.slack.texts[1]
        assert "Postgres answers again" in stage.mail.received[1]["Subject"]
        assert (len(stage.slack.received), len(stage.mail.received)) == (2, 2)
        away.dispose()
