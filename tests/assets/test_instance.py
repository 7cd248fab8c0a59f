"""The instance and workspace files of the root, loaded as Dagster loads them, on real Postgres."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from assets.dagster_internals import TickData, TickStatus
from assets.run_lanes import Lane
from tests.assets.dagster_internals import (
    InstigatorType,
    QueuedRunCoordinator,
    location_origins_from_yaml_paths,
)
from tests.fixtures.postgres import dagster_variables
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer

ROOT = Path(__file__).parents[2]
PASSWORD_NAME = "DAGSTER_PG_PASSWORD"


@pytest.fixture
def instance(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    for name, value in {
        **dagster_variables(database),
        "DAGSTER_COMPUTE_LOGS": tmp_path / "logs",
    }.items():
        monkeypatch.setenv(name, str(value))
    shutil.copy(ROOT / "deploy" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as loaded:
        yield loaded


def test_tables_lie_in_schema_dagster_alone(instance: dg.DagsterInstance, database: str) -> None:
    assert instance.get_runs_count() == 0
    with psycopg.connect(database) as conn:
        rows = conn.execute(
            "SELECT schemaname, count(*) FROM pg_tables"
            " WHERE tablename IN ('runs', 'event_logs', 'job_ticks') GROUP BY 1"
        ).fetchall()
    assert rows == [("dagster", 3)]


def test_events_can_be_written(instance: dg.DagsterInstance) -> None:
    """Fails where the driver is psycopg 3: it cannot run dagster-postgres' NOTIFY."""
    key = dg.AssetKey(["market", "state"])
    instance.report_runless_asset_event(dg.AssetMaterialization(key))
    assert instance.get_latest_materialization_event(key) is not None


def test_connections_are_kept(instance: dg.DagsterInstance, database: str, tmp_path: Path) -> None:
    """Dagster makes an instance per tick, and by itself a login per statement."""

    def sessions() -> int:
        with psycopg.connect(database) as conn:
            conn.execute("SELECT pg_stat_clear_snapshot()")
            row = conn.execute(
                "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert row is not None
        return int(row[0])

    key = dg.AssetKey(["market", "state"])
    instance.report_runless_asset_event(dg.AssetMaterialization(key))
    before = sessions()
    for _ in range(20):
        with dg.DagsterInstance.from_config(str(tmp_path)) as another:
            another.report_runless_asset_event(dg.AssetMaterialization(key))
            assert another.get_runs_count() == 0
    assert sessions() - before < 10


def test_a_restart_of_postgres_is_survived(
    instance: dg.DagsterInstance, database: str, postgres_server: PostgresServer
) -> None:
    assert instance.get_runs_count() == 0
    name = database.rpartition("/")[2]
    with psycopg.connect(postgres_server.url(name, SUPERUSER), autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert instance.get_runs_count() == 0


def test_queue_and_limits(instance: dg.DagsterInstance) -> None:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, QueuedRunCoordinator)
    assert coordinator.dequeue_interval_seconds == 1
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    limits = {limit["value"]: limit["limit"] for limit in queue.tag_concurrency_limits}
    assert set(limits) == set(Lane) - {Lane.OPERATORS}
    assert sum(limits.values()) < queue.max_concurrent_runs, "one slot is free for operators"
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 900
    assert not instance.run_retries_enabled
    assert not instance.telemetry_enabled
    assert instance.get_settings("sensors") == {"use_threads": True, "num_workers": 8}


def test_what_the_ui_shows_of_the_instance_has_no_password(instance: dg.DagsterInstance) -> None:
    """The page "Deployment, Configuration" and GraphQL's instance.info print this text."""
    assert instance.run_storage is not None
    text = instance.info_str().lower()
    assert "postgresrunstorage" in text
    assert "password" not in text
    assert "postgresql" not in text


def test_no_value_is_written_in_the_files() -> None:
    for name in ("deploy/dagster.yaml", "deploy/workspace.yaml"):
        text = (ROOT / name).read_text()
        for line in text.splitlines():
            key, _, value = line.strip().partition(":")
            if key in {"hostname", "host", "port", "username", "password", "db_name", "base_dir"}:
                assert value.strip().startswith("{env: "), line


def test_workspace_names_one_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE_SERVER_HOST", "127.0.0.1")
    monkeypatch.setenv("CODE_SERVER_PORT", "4266")
    origins = location_origins_from_yaml_paths([os.fspath(ROOT / "deploy" / "workspace.yaml")])
    assert [(o.location_name, o.get_display_metadata()["port"]) for o in origins] == [
        ("zmart_pipelines", "4266")
    ]


def sensor_tick(instance: dg.DagsterInstance, status: TickStatus) -> int:
    """Let a sensor tick once as the daemon does; return the tick's id."""
    tick = instance.create_tick(
        TickData(
            instigator_origin_id="origin",
            instigator_name="quiet_sensor",
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.STARTED,
            timestamp=time.time(),
            selector_id="selector",
        )
    )
    instance.update_tick(tick.with_status(status))
    return tick.tick_id


def tick_rows(instance: dg.DagsterInstance) -> list[TickStatus]:
    """Statuses of the stored ticks, the newest first."""
    return [tick.status for tick in instance.get_ticks("origin", "selector")]


def test_ticks_that_did_nothing_share_a_row(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        sensor_tick(instance, TickStatus.SKIPPED)
    assert tick_rows(instance) == [TickStatus.SKIPPED]
    (row,) = instance.get_ticks("origin", "selector")
    assert time.time() - row.timestamp < 60, "the newest"
    sensor_tick(instance, TickStatus.SUCCESS)
    sensor_tick(instance, TickStatus.SKIPPED)
    assert tick_rows(instance) == [TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.SKIPPED]
    monkeypatch.setattr("assets.dagster_ticks.SHARED_ROW_SECONDS", 0.0)
    sensor_tick(instance, TickStatus.SKIPPED)
    assert len(tick_rows(instance)) == 4


def test_requests_are_stored_before_they_are_submitted(instance: dg.DagsterInstance) -> None:
    """What a daemon needs that was killed in between: it resumes such a tick."""
    tick = instance.create_tick(
        TickData(
            instigator_origin_id="origin",
            instigator_name="quiet_sensor",
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.STARTED,
            timestamp=time.time(),
            selector_id="selector",
        )
    )
    assert tick_rows(instance) == []
    instance.update_tick(
        tick.with_run_requests([dg.RunRequest()], reserved_run_ids=["a"], cursor="c")
    )
    (stored,) = instance.get_ticks("origin", "selector")
    assert stored.tick_id == tick.tick_id
    assert stored.status is TickStatus.STARTED
    assert stored.tick_data.reserved_run_ids == ["a"]
