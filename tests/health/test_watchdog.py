"""The watchdog: silence is found without Dagster, reaches a receiver, and ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.fixtures.alert_receivers import Slack
from zmart_pipelines.health.watchdog import (
    Restart,
    Watchdog,
    read_restarts,
    restarts_in_the_last_hour,
)
from zmart_pipelines.monitoring.alert_posters import posters
from zmart_pipelines.monitoring.alerts import open_alerts
from zmart_pipelines.monitoring.monitor import HEARTBEAT
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role


@pytest.fixture
def daemon(pool: Engine, database: str) -> Iterator[Engine]:
    made = role_engine(Role.DAGSTER, database)
    yield made
    made.dispose()


@pytest.fixture
def pool(database: str) -> Iterator[Engine]:
    daemon = role_engine(Role.DAGSTER, database)
    with daemon.begin() as conn:
        conn.execute(
            text("CREATE TABLE IF NOT EXISTS dagster.daemon_heartbeats (timestamp timestamp)")
        )
        conn.execute(
            text("INSERT INTO dagster.daemon_heartbeats VALUES (now() AT TIME ZONE 'UTC')")
        )
    daemon.dispose()
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO ops.heartbeats (service, last_success_at, last_attempt_at) VALUES"
                " ('migrate', now() - interval '1 hour', now()),"
                f" ('{HEARTBEAT}', now() - interval '10 minutes', now())"
            )
        )
    yield owner
    owner.dispose()


def keys(pool: Engine) -> set[str]:
    with pool.connect() as conn:
        return {str(key) for key in open_alerts(conn)}


def test_silent_monitor_and_daemon_are_reported_until_they_are_back(
    pool: Engine, daemon: Engine, slack: Slack, tmp_path: Path
) -> None:
    settings = Settings(
        alert_webhook_url=slack.address, alert_group_seconds=0, alert_interval_seconds=0
    )
    record = tmp_path / "restarts.jsonl"
    watching = Watchdog(
        settings, posters(settings), pipelines=pool, dagster=daemon, restarts=record
    )
    watching.watch_once()
    assert keys(pool) == {"monitor_silent"}
    assert "the monitor has been silent for 60" in slack.texts[0]
    with pool.begin() as conn:
        conn.execute(text("UPDATE ops.heartbeats SET last_success_at = now()"))
        conn.execute(
            text(
                "UPDATE ops.heartbeats SET last_success_at = now() - interval '1 hour'"
                " WHERE service = 'migrate'"
            )
        )
    with daemon.begin() as conn:
        conn.execute(
            text("UPDATE dagster.daemon_heartbeats SET timestamp = timestamp - interval '1 day'")
        )
    lines = [{"process": "api", "at": time.time(), "code": -9}] * 4
    record.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    watching.watch_once()
    assert keys(pool) == {"daemon_silent", "restarts:api"}
    with pool.connect() as conn:
        message = conn.execute(text("SELECT message FROM ops.alerts WHERE topic = 'restarts'"))
        assert message.scalar_one() == (
            "api was restarted 4 times in an hour; it ended last by SIGKILL"
        )
    with daemon.begin() as conn:
        conn.execute(
            text("UPDATE dagster.daemon_heartbeats SET timestamp = now() AT TIME ZONE 'UTC'")
        )
    record.unlink()
    watching.watch_once()
    assert keys(pool) == set()
    assert "ended: daemon_silent" in slack.texts[-1]


def test_postgres_that_is_away_is_reported_once_and_its_return(
    pool: Engine, daemon: Engine, slack: Slack
) -> None:
    settings = Settings(alert_webhook_url=slack.address, watchdog_database_seconds=1)
    away = create_engine(f"postgresql+psycopg://zmart@127.0.0.1:{unused_port()}/zmart")
    watching = Watchdog(settings, posters(settings), pipelines=away, dagster=daemon)
    watching.watch_once()
    assert slack.received == []
    time.sleep(1)
    watching.watch_once()
    watching.watch_once()
    assert len(slack.received) == 1
    assert "database_unreachable" in slack.texts[0]
    watching._pipelines = pool
    watching.watch_once()
    assert "Postgres answers again" in slack.texts[1]


def test_only_restarts_of_the_last_hour_count(tmp_path: Path) -> None:
    record = tmp_path / "restarts.jsonl"
    assert read_restarts(record) == []
    record.write_text('{"process": "api", "at": 100, "code": 1}\n')
    found = restarts_in_the_last_hour(read_restarts(record), 3_699.0)
    assert found == {"api": [Restart("api", 100.0, 1)]}
    assert restarts_in_the_last_hour(read_restarts(record), 3_700.0) == {}
