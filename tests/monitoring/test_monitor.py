"""The monitor: its rules, and each alert by its cause on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.api import seed
from zmart_pipelines.monitoring.alerts import open_alerts
from zmart_pipelines.monitoring.monitor import run_monitor
from zmart_pipelines.monitoring.monitor_rules import TOPICS, Facts, MachineFacts, findings
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.monitor import MonitorFacts, monitor_facts
from zmart_pipelines.store.queries.table_sizes import size_history

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
HEALTHY: dict[str, Any] = {
    "now": NOW,
    "stuck": [],
    "withdrawn": [],
    "config_changed_at": None,
    "fees_hour": 0,
    "fees_day": 0,
    "connections": 10,
    "max_connections": 100,
}


def topics(machine: MachineFacts | None = None, **facts: Any) -> set[str]:
    tables = MonitorFacts(**{**HEALTHY, **facts})
    judged = Facts(tables, machine or MachineFacts(10.0, 0.0))
    return {finding.key.topic for finding in findings(judged, Settings())}


def test_a_healthy_system_raises_nothing() -> None:
    assert topics() == set()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"stuck": [(3, 1, 0, ["ab" * 32])]}, {"stuck_market"}),
        ({"stuck": [(3, 10, 0, ["ab" * 32])]}, {"stuck_market", "stuck_markets"}),
        ({"withdrawn": ["ab" * 32]}, {"early_withdrawal"}),
        ({"config_changed_at": int(NOW.timestamp()) - 60}, {"config_changed"}),
        ({"config_changed_at": int(NOW.timestamp()) - 86_400}, set()),
        ({"fees_hour": 20_000_000}, {"fee_burn"}),
        ({"fees_day": 99_999_999}, set()),
        ({"connections": 70}, {"database_connections"}),
        ({"machine": MachineFacts(80.0, 0.0)}, {"disk_space"}),
        ({"machine": MachineFacts(1.0, -5.0)}, {"clock_skew"}),
        ({"machine": MachineFacts(1.0, 0.0, (("reconcile", "r1"),))}, {"stuck_run"}),
    ],
)
def test_each_cause_raises_its_alert_alone(facts: dict[str, Any], expected: set[str]) -> None:
    assert topics(**facts) == expected


@given(
    used=st.floats(0, 100),
    offset=st.floats(-100, 100),
    connections=st.integers(0, 200),
    spent=st.integers(0, 2**40),
)
def test_rules_raise_exactly_past_their_thresholds(
    used: float, offset: float, connections: int, spent: int
) -> None:
    found = topics(MachineFacts(used, offset), connections=connections, fees_hour=spent)
    assert found <= set(TOPICS)
    assert ("disk_space" in found) == (used >= 80)
    assert ("clock_skew" in found) == (abs(offset) >= 5)
    assert ("database_connections" in found) == (connections >= 70)
    assert ("fee_burn" in found) == (spent >= 20_000_000)


@pytest.fixture
def pool(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def opened(pool: Engine, settings: Settings) -> set[str]:
    run_monitor(pool, settings)
    with pool.connect() as conn:
        return {key.topic for key in open_alerts(conn)}


def test_market_that_does_not_move_is_found_and_its_alert_closes(
    pool: Engine, database: str
) -> None:
    settings = Settings(disk_used_percent=Threshold(998, 999))
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        seed.market(conn, b"\x01" * 32, state=4)
    owner.dispose()
    # The seeded market was disputed at a time long past.
    assert opened(pool, settings) == {"stuck_market"}
    healed = settings.model_copy(update={"stuck_disputed_seconds": 2**31 - 1})
    assert opened(pool, healed) == set()


def test_a_round_records_how_large_the_tables_are(pool: Engine) -> None:
    opened(pool, Settings())
    with pool.connect() as conn:
        found = size_history(conn, ["ops.alerts"], span=timedelta(hours=1), step=timedelta(hours=1))
    assert [sample.bytes > 0 for sample in found] == [True]


def test_the_machine_is_measured(pool: Engine) -> None:
    assert opened(pool, Settings(disk_used_percent=Threshold(1, 999))) == {"disk_space"}
    assert opened(pool, Settings(disk_used_percent=Threshold(998, 999))) == set()
    with pool.connect() as conn:
        facts = monitor_facts(conn, {}, reader="monitor", part=0)
    assert 1 <= facts.connections <= facts.max_connections
