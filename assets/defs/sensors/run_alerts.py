"""What became of the runs: failures and failed checks turn into alert rows, and people are told.

An alert stays open until a later run of the same job succeeds, or the same check passes.
"""

from __future__ import annotations

import time

import dagster as dg
import msgspec
from sqlalchemy import Connection

from assets.resources import BackendResource
from assets.sensor_ticks import INTERVAL, Tick, patient
from zmart_pipelines.monitoring import alert_delivery
from zmart_pipelines.monitoring.alerts import clear_alert, raise_alert
from zmart_pipelines.store.engine import Role

# Looked for on each loop of the daemon, like the rest.
_INTERVAL = 10
_LONGEST = 500

# Of a medium severity: nobody can be told by the webhook that the webhook fails.
_WEBHOOK_KEY = "alert_webhook"


def _run_key(job: str) -> str:
    return f"run:{job}"


@dg.run_failure_sensor(
    name="run_failure_sensor",
    minimum_interval_seconds=_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert for the job of each run that failed.",
)
def run_failure_sensor(context: dg.RunFailureSensorContext, backend: BackendResource) -> None:
    """One alert per job, with the newest failure in it."""
    job = context.dagster_run.job_name
    text = context.failure_event.message or "the run failed without a message"
    with backend.engine(Role.PIPELINES).begin() as conn:
        raise_alert(
            conn,
            _run_key(job),
            "high",
            f"A run of {job} failed",
            {"run_id": context.dagster_run.run_id, "message": text[:_LONGEST]},
        )


def record_check(conn: Connection, evaluation: dg.AssetCheckEvaluation) -> None:
    """Open or close the alert of one check."""
    key = f"check:{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
    if evaluation.passed:
        clear_alert(conn, key)
        return
    raise_alert(
        conn,
        key,
        "high" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "medium",
        f"Check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} fails",
        {"description": (evaluation.description or "")[:_LONGEST]},
    )


@dg.run_status_sensor(
    name="run_success_sensor",
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Clears the alert of a job that works again; raises and clears those of checks.",
)
def run_success_sensor(context: dg.RunStatusSensorContext, backend: BackendResource) -> None:
    """A failed check does not fail its run, so the run's evaluations are read here."""
    job = context.dagster_run.job_name
    records = context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    evaluations = [
        record.event_log_entry.dagster_event.asset_check_evaluation_data
        for record in records
        if record.event_log_entry.dagster_event is not None
    ]
    with backend.engine(Role.PIPELINES).begin() as conn:
        clear_alert(conn, _run_key(job))
        for evaluation in evaluations:
            record_check(conn, evaluation)


def _backoff(cursor: str | None) -> alert_delivery.Backoff:
    """The cursor read back; one that is not ours counts as no failure."""
    try:
        return msgspec.json.decode(cursor or "", type=alert_delivery.Backoff)
    except msgspec.MsgspecError:
        return alert_delivery.Backoff()


@dg.sensor(
    name="alert_sensor",
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts open alerts of severity critical and high to ALERT_WEBHOOK_URL, each once.",
)
@patient(None)
def alert_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Post what is open; a webhook that fails is asked again after 5 s, 10 s, … 5 min."""
    address = backend.settings.alert_webhook_url
    if address is None:
        return dg.SkipReason("ALERT_WEBHOOK_URL is not set.")
    now, before = time.time(), _backoff(context.cursor)
    pipelines = backend.engine(Role.PIPELINES)
    with pipelines.connect() as conn:
        number = alert_delivery.waiting(conn)
    if not number:
        return dg.SkipReason("No alert waits to be posted.")
    if now < before.until:
        return dg.SkipReason(f"The webhook failed; next try in {before.until - now:.0f} s.")
    done = alert_delivery.post(pipelines, address)
    with pipelines.begin() as conn:
        if done.fault is None:
            clear_alert(conn, _WEBHOOK_KEY)
        else:
            raise_alert(conn, _WEBHOOK_KEY, "medium", done.fault, {"waiting": number})
    if done.fault is not None:
        context.log.warning("%s", done.fault)
    for key in done.posted:
        context.log.info("Posted %s", key)
    return dg.SensorResult(cursor=msgspec.json.encode(before.after(done, now)).decode())
