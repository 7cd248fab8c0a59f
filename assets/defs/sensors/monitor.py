"""The sensor of the market monitor: it raises and clears alerts, and starts no run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.catalog import OWNERS
from assets.resources import BackendResource
from assets.sensor_ticks import LATER_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.monitoring.monitor import run_monitor
from zmart_pipelines.store.engine import Role

_UNENDED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Runs that a round looks at; they share few alerts, one per job.
_MOST_RUNS = 50


@dg.sensor(
    owners=OWNERS,
    name="monitor_sensor",
    minimum_interval_seconds=LATER_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises and clears alerts of markets that do not move, liquidity withdrawn early, "
    "changes of the configuration, fees, Dagster runs that do not end, and the machine: disk, "
    "clock, connections of Postgres. Starts no run.",
)
@skip_on_outage()
def monitor_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Run one round of the monitor."""
    longest = timedelta(seconds=backend.settings.stuck_run_seconds)
    records = context.instance.get_run_records(
        dg.RunsFilter(statuses=_UNENDED, created_before=datetime.now(UTC) - longest),
        limit=_MOST_RUNS,
        ascending=True,
    )
    runs = [(record.dagster_run.job_name, record.dagster_run.run_id) for record in records]
    with backend.engine(Role.PIPELINES).begin() as conn:
        held = run_monitor(conn, backend.settings, runs)
    if held:
        context.log.info("%s", "; ".join(map(str, held)))
    return dg.SkipReason(f"{len(held)} of the monitor's alerts are open.")
