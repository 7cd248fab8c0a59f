"""Failed runs and failed checks become alert rows, and the next success closes them."""

import time
from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, func, select

from assets.definitions import build_defs
from assets.defs.sensors.run_alerts import record_check, run_failure_sensor, run_success_sensor
from assets.freshness import CHECK_NAME, VerifiedWithin, evaluate_freshness
from assets.resources import Backend
from zmart_pipelines.health.measure import AGE_CHECK, health
from zmart_pipelines.monitoring.heartbeats import START, record_heartbeat
from zmart_pipelines.monitoring.work_health import SERVICES, START_SECONDS, QuantityHealth
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.work_health import job_runs
from zmart_pipelines.store.tables.ops import alerts


@pytest.fixture
def backend(database: str) -> Backend:
    return Backend(Settings(**login_settings(database)))


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


def quantity(owner: Engine, service: str, name: str) -> QuantityHealth:
    """One quantity, once the system has had its time to start."""
    with owner.connect() as conn:
        record_heartbeat(conn, START)
        now = conn.execute(select(func.now())).scalar_one() + timedelta(seconds=START_SECONDS)
        found = health(conn, Settings(), now=now)[service].quantities
    return next(one for one in found if one.name == name)


def succeed(
    backend: Backend, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> None:
    run_success_sensor(
        dg.build_run_status_sensor_context(
            sensor_name="run_success_sensor",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_success_event(),
            resources={"backend": backend},
        )
    )


def fail(backend: Backend, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> None:
    run_failure_sensor(
        dg.build_run_status_sensor_context(
            sensor_name="run_failure_sensor",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
            resources={"backend": backend},
        ).for_run_failure()
    )


def run(definition: dg.JobDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return definition.execute_in_process(instance=instance, raise_on_error=False)


def test_a_failed_run_raises_one_alert_and_a_good_one_clears_it(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    for _ in range(2):
        fail(backend, instance, run(job("reconcile", fails=True), instance))
    assert open_alerts(owner) == {"run:reconcile": "high"}
    failed_runs = quantity(owner, "pipelines", "failed_runs")
    assert (failed_runs.value, failed_runs.state) == (2.0, "degraded")
    assert failed_runs.cause is not None
    assert failed_runs.cause.startswith("reconcile: ")
    succeed(backend, instance, run(job("reconcile", fails=False), instance))
    assert open_alerts(owner) == {}
    assert quantity(owner, "pipelines", "failed_runs").value == 0.0
    with owner.connect() as conn:
        assert [row.success_at for row in job_runs(conn, ["reconcile"])] != [None]


def test_failure_that_is_recorded_after_a_later_success_does_not_count(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    failed = run(job("reconcile", fails=True), instance)
    succeed(backend, instance, run(job("reconcile", fails=False), instance))
    fail(backend, instance, failed)
    assert quantity(owner, "pipelines", "failed_runs").value == 0.0


def test_spoilt_data_fails_its_check_and_degrades_the_health(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    definitions = build_defs(resource_overrides={"backend": backend})
    coverage = dg.AssetCheckKey(dg.AssetKey(["chain", "coverage"]), "coverage_has_no_gaps")
    checks = dg.define_asset_job("check_coverage", selection=dg.AssetSelection.checks(coverage))
    checked = dg.Definitions.merge(definitions, dg.Definitions(jobs=[checks]))

    def evaluate() -> QuantityHealth:
        succeed(backend, instance, run(checked.resolve_job_def("check_coverage"), instance))
        return quantity(owner, "pipelines", "failing_checks")

    assert evaluate().state == "ok"
    with owner.begin() as conn:
        conn.exec_driver_sql("INSERT INTO chain.coverage (slots) VALUES ('[1,5)'), ('[9,12)')")
    failing = evaluate()
    assert (failing.value, failing.state) == (1.0, "degraded")
    assert failing.cause == "chain/coverage:coverage_has_no_gaps"
    with owner.begin() as conn:
        conn.exec_driver_sql("DELETE FROM chain.coverage WHERE slots @> 9::bigint")
    assert evaluate().state == "ok"


def test_asset_past_its_limit_of_age_degrades_the_health(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    asset = dg.AssetKey(["market", "state"])
    instance.report_runless_asset_event(dg.AssetMaterialization(asset))

    def evaluate(now: float) -> QuantityHealth:
        limits = VerifiedWithin(warn=10, fail=20)
        found = evaluate_freshness(instance, asset, limits, now)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=asset, check_name=CHECK_NAME, passed=found.passed, metadata={}
        )
        with owner.begin() as conn:
            record_check(conn, evaluation)
        return quantity(owner, "pipelines", "stale_assets")

    assert evaluate(time.time()).state == "ok"
    stale = evaluate(time.time() + 11 * 60)
    assert (stale.state, stale.cause) == ("degraded", "market/state")


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
        succeed(backend, instance, result)
        assert open_alerts(owner) == expected


def test_record_check_keeps_one_open_alert(backend: Backend, owner: Engine) -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["market", "state"]), check_name="x", passed=False, metadata={}
    )
    with owner.begin() as conn:
        record_check(conn, evaluation)
        record_check(conn, evaluation)
    assert len(open_alerts(owner)) == 1


EVERY = {
    "* * * * *": timedelta(minutes=1),
    "*/5 * * * *": timedelta(minutes=5),
    "2-59/5 * * * *": timedelta(minutes=5),
    "*/10 * * * *": timedelta(minutes=10),
    "0 * * * *": timedelta(hours=1),
    "17 3 * * *": timedelta(days=1),
}


def test_health_knows_each_scheduled_job_and_its_interval() -> None:
    definitions = build_defs()
    assert AGE_CHECK == CHECK_NAME
    known = {job: every for service in SERVICES.values() for job, every in service.jobs.items()}
    intervals = {
        schedule.job_name: EVERY[str(schedule.cron_schedule)]
        for schedule in definitions.schedules or ()
        if isinstance(schedule, dg.ScheduleDefinition)
    }
    # They run only if there is something to do.
    for job in ("refresh_statistics", "snapshot_discussions", "back_up"):
        assert known.pop(job) is None
        intervals.pop(job)
    assert intervals == {job: every for job, every in known.items() if every is not None}
    assert set(known) <= {job.name for job in definitions.resolve_all_job_defs()}
