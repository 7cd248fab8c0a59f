"""Sensors that record how runs ended and turn failed runs and failed checks into alerts.

An alert stays open until a later run of the same job succeeds, or the same check passes.
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import Connection

from assets.resources import BackendResource
from assets.sensor_ticks import ROUTINE_INTERVAL
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.monitoring.job_runs import EndedRun, record_run
from zmart_pipelines.store.engine import Role

# Characters of a message or a description that an alert keeps.
_MAX_TEXT = 500


@dg.run_failure_sensor(
    name="run_failure_sensor",
    minimum_interval_seconds=ROUTINE_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records each run that failed, and raises an alert for its job.",
)
def run_failure_sensor(context: dg.RunFailureSensorContext, backend: BackendResource) -> None:
    """Raise one alert per job; it shows the newest failure."""
    job = context.dagster_run.job_name
    text = context.failure_event.message or "the run failed without a message"
    ended = _ended_run(context, error=text)
    with backend.engine(Role.PIPELINES).begin() as conn:
        record_run(conn, ended)
        raise_alert(
            conn,
            _run_key(job),
            "high",
            f"A run of {job} failed",
            {"run_id": context.dagster_run.run_id, "message": text[:_MAX_TEXT]},
        )


@dg.run_status_sensor(
    name="run_success_sensor",
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=ROUTINE_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records each run that succeeded, clears the alert of a job that succeeds again, "
    "and raises and clears the alerts of the checks that the run evaluated.",
)
def run_success_sensor(context: dg.RunStatusSensorContext, backend: BackendResource) -> None:
    """Read the run's check evaluations, because a failed check does not fail its run."""
    job = context.dagster_run.job_name
    records = context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    evaluations = [
        record.event_log_entry.dagster_event.asset_check_evaluation_data
        for record in records
        if record.event_log_entry.dagster_event is not None
    ]
    ended = _ended_run(context)
    with backend.engine(Role.PIPELINES).begin() as conn:
        record_run(conn, ended)
        clear_alert(conn, _run_key(job))
        for evaluation in evaluations:
            record_check(conn, evaluation)


def _ended_run(context: dg.RunStatusSensorContext, error: str | None = None) -> EndedRun:
    """Return how the run of this tick ended, at the time that Dagster recorded."""
    run = context.dagster_run
    record = context.instance.get_run_record_by_id(run.run_id)
    ended = None if record is None else record.end_time
    at = datetime.now(UTC) if ended is None else datetime.fromtimestamp(ended, UTC)
    return EndedRun(run.run_id, run.job_name, error is None, at, error)


def record_check(conn: Connection, evaluation: dg.AssetCheckEvaluation) -> None:
    """Raise or clear the alert of one check."""
    name = f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
    key = AlertKey("check", subject=name)
    if evaluation.passed:
        clear_alert(conn, key)
        return
    raise_alert(
        conn,
        key,
        "high" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "medium",
        f"Check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} failed",
        {"description": (evaluation.description or "")[:_MAX_TEXT]},
    )


def _run_key(job: str) -> AlertKey:
    return AlertKey("run", subject=job)
