"""The nightly clean-up on Dagster's own tables in real Postgres, and as a job."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from assets.dagster_retention import delete_rows, delete_runs, keep_days
from assets.defs.maintenance import clean_up
from assets.resources import Backend
from assets.run_lanes import LANE_TAG, Lane
from benchmarks.compressed_week import DAYS, GOAL, Size, fastest_growth
from tests.assets.dagster_internals import create_run_for_test
from tests.fixtures.postgres import dagster_variables
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
CHECK = dg.AssetCheckKey(dg.AssetKey("state"), "holds")


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


def add_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, lane: Lane = Lane.BACKGROUND
) -> str:
    run: dg.DagsterRun = create_run_for_test(
        instance, job_name="__ASSET_JOB", status=status, tags={LANE_TAG: lane.value}
    )
    return run.run_id


def runs(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def delete_as_of(instance: dg.DagsterInstance, engine: Engine, days: int) -> int:
    return delete_runs(instance, engine, Settings(), NOW + timedelta(days=days))


def test_runs_are_kept_by_what_happened_in_them(
    instance: dg.DagsterInstance, owner: Engine, tmp_path: Path
) -> None:
    success, failure = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
    idle = add_run(instance, success)
    failed = add_run(instance, failure)
    ordered = add_run(instance, success, Lane.OPERATORS)
    running = add_run(instance, dg.DagsterRunStatus.STARTED)
    log = tmp_path / "logs" / idle / "compute_logs"
    log.mkdir(parents=True)
    assert delete_as_of(instance, owner, 2) == 0
    assert delete_as_of(instance, owner, 4) == 1
    assert runs(instance) == {failed, ordered, running}
    assert not log.parent.exists(), "the compute logs go with their run"
    assert delete_as_of(instance, owner, 91) == 1
    assert delete_as_of(instance, owner, 366) == 1
    assert runs(instance) == {running}


def test_run_that_signed_a_transaction_is_kept_longest() -> None:
    settings = Settings()
    run = dg.DagsterRun(job_name="finalize_markets", status=dg.DagsterRunStatus.SUCCESS)
    assert keep_days(run, [run.run_id], settings) == settings.submission_runs_keep_days
    assert keep_days(run, [], settings) == settings.runs_keep_days


def test_kept_runs_do_not_hide_older_ones_behind_them(
    instance: dg.DagsterInstance, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.dagster_retention.PAGE", 2)
    for _ in range(3):
        add_run(instance, dg.DagsterRunStatus.FAILURE)
    for _ in range(5):
        add_run(instance, dg.DagsterRunStatus.SUCCESS)
    assert delete_as_of(instance, owner, 4) == 5


def test_events_without_a_run_keep_the_last_of_each_asset(instance: dg.DagsterInstance) -> None:
    for key in ("state", "state", "trades"):
        event = dg.AssetMaterialization(key, tags={"dagster/data_version": "1"})
        instance.report_runless_asset_event(event)
    deleted = delete_rows(instance, Settings(), NOW + timedelta(days=4))
    assert deleted["event_logs"] == 1
    assert deleted["asset_event_tags"] == 1
    for key in ("state", "trades"):
        assert instance.get_latest_materialization_event(dg.AssetKey(key)) is not None


def test_check_results_keep_the_last_of_each_check(instance: dg.DagsterInstance) -> None:
    for passed in (True, False):
        evaluation = dg.AssetCheckEvaluation(
            asset_key=CHECK.asset_key, check_name=CHECK.name, passed=passed, metadata={}
        )
        instance.report_runless_asset_event(evaluation)
    deleted = delete_rows(instance, Settings(), NOW + timedelta(days=4))
    assert deleted["asset_check_executions"] == 1
    assert deleted["event_logs"] == 1, "the event of the older result goes with it"
    (last,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK]).values()
    assert last.event is not None


def test_ticks_that_did_nothing_go_first(instance: dg.DagsterInstance, database: str) -> None:
    from assets.dagster_internals import storage_engine

    engine = storage_engine(instance)
    with engine.connect() as conn:
        for status in ("SKIPPED", "FAILURE"):
            conn.execute(
                text(
                    "INSERT INTO job_ticks (job_origin_id, selector_id, status, type, timestamp,"
                    " tick_body) VALUES ('a', 'a', :status, 'SENSOR', now(), '{}')"
                ),
                {"status": status},
            )
    assert delete_rows(instance, Settings(), NOW + timedelta(days=2))["job_ticks"] == 1
    assert delete_rows(instance, Settings(), NOW + timedelta(days=91))["job_ticks"] == 1


def test_job_reports_what_it_freed(instance: dg.DagsterInstance, database: str) -> None:
    add_run(instance, dg.DagsterRunStatus.SUCCESS)
    later = (NOW + timedelta(days=4)).isoformat()
    config = {"ops": {name: {"config": {"as_of": later}} for name in OPS}}
    backend = Backend(Settings(**login_settings(database)))
    result = clean_up.execute_in_process(
        instance=instance, resources={"backend": backend}, run_config=config
    )
    (metadata,) = [
        event.step_output_data.metadata
        for event in result.all_events
        if event.event_type_value == "STEP_OUTPUT" and event.step_key == "prune_dagster"
    ]
    assert metadata["Runs deleted"].value == 1


OPS = ("prune_tables", "prune_dagster")


def test_benchmark_of_a_week_names_the_table_that_keeps_growing() -> None:
    level = {"ops.stream": Size(4_000, 10**6)}
    week = [{**level, "ops.alerts": Size(100 * day, 10**5)} for day in range(1, DAYS + 1)]
    table, growth = fastest_growth(week)
    assert table == "ops.alerts"
    assert growth > GOAL
    assert fastest_growth([level] * DAYS) == (None, 0.0)
    bloated = [{"ops.stream": Size(4_000, day * 10**6)} for day in range(1, DAYS + 1)]
    assert fastest_growth(bloated)[0] == "ops.stream (bytes)"
    assert fastest_growth(bloated)[1] > GOAL
