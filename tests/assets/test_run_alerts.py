"""Failed runs and failed checks become alert rows, and the next success closes them."""

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine, select

from assets.defs.sensors.run_alerts import record_check, run_failure_sensor, run_success_sensor
from assets.resources import Backend
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.ops import alerts


@pytest.fixture
def backend(database: str) -> Backend:
    return Backend(Settings(database_url=database))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def job(name: str, fails: bool) -> dg.JobDefinition:
    @dg.op
    def step() -> None:
        if fails:
            raise ValueError("the reason")

    @dg.job(name=name)
    def made() -> None:
        step()

    return made


def open_alerts(owner: Engine) -> dict[str, str]:
    with owner.connect() as conn:
        rows = conn.execute(select(alerts).where(alerts.c.cleared_at.is_(None)))
        return {f"{row.topic}:{row.subject}": row.severity for row in rows}


def run(definition: dg.JobDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return definition.execute_in_process(instance=instance, raise_on_error=False)


def test_a_failed_run_raises_one_alert_and_a_good_one_clears_it(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    for _ in range(2):
        failed = run(job("reconcile", fails=True), instance)
        run_failure_sensor(
            dg.build_run_status_sensor_context(
                sensor_name="run_failure_sensor",
                dagster_instance=instance,
                dagster_run=failed.dagster_run,
                dagster_event=failed.get_run_failure_event(),
                resources={"backend": backend},
            ).for_run_failure()
        )
    assert open_alerts(owner) == {"run:reconcile": "high"}
    good = run(job("reconcile", fails=False), instance)
    run_success_sensor(
        dg.build_run_status_sensor_context(
            sensor_name="run_success_sensor",
            dagster_instance=instance,
            dagster_run=good.dagster_run,
            dagster_event=good.get_run_success_event(),
            resources={"backend": backend},
        )
    )
    assert open_alerts(owner) == {}


def test_checks_of_the_reconcile_job_are_read_from_its_run(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    def definitions(passed: bool) -> dg.Definitions:
        @dg.asset_check(asset=dg.AssetKey(["market", "state"]), name="matches_ledger_fold")
        def error() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.ERROR)

        @dg.asset_check(asset=dg.AssetKey(["market", "state"]), name="fresh")
        def warning() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN)

        every = dg.AssetSelection.all_asset_checks()
        return dg.Definitions(
            assets=[dg.AssetSpec(["market", "state"])],
            asset_checks=[error, warning],
            jobs=[dg.define_asset_job("reconcile", selection=every)],
            executor=dg.in_process_executor,
        )

    for passed, expected in (
        (
            False,
            {
                "check:market/state:matches_ledger_fold": "high",
                "check:market/state:fresh": "medium",
            },
        ),
        (True, {}),
    ):
        result = run(definitions(passed).resolve_job_def("reconcile"), instance)
        assert result.success, "a failed check must not fail the run: the sensor reads it"
        run_success_sensor(
            dg.build_run_status_sensor_context(
                sensor_name="run_success_sensor",
                dagster_instance=instance,
                dagster_run=result.dagster_run,
                dagster_event=result.get_run_success_event(),
                resources={"backend": backend},
            )
        )
        assert open_alerts(owner) == expected


def test_record_check_keeps_one_open_alert(backend: Backend, owner: Engine) -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["market", "state"]), check_name="x", passed=False, metadata={}
    )
    with owner.begin() as conn:
        record_check(conn, evaluation)
        record_check(conn, evaluation)
    assert len(open_alerts(owner)) == 1
