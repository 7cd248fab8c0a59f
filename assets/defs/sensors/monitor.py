"""The sensor of the market monitor: it raises and clears alerts, and starts no run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.catalog import OWNERS
from assets.resources import BackendResource
from assets.sensor_ticks import Tick, skip_on_outage
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.monitoring.monitor import ROUND_SECONDS, run_monitor
from zmart_pipelines.store.engine import Role

_UNENDED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Runs that a round looks at; they share few alerts, one per job.
_MOST_RUNS = 50
# Seconds that the pin store has to say how much it holds.
SENSOR_PIN_SECONDS = 2.0


@dg.sensor(
    owners=OWNERS,
    name="monitor_sensor",
    minimum_interval_seconds=ROUND_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises and clears alerts of markets that do not move, liquidity withdrawn early, "
    "claims that cannot be paid, changes of the configuration and of the program's code, fees, "
    "errors of the API, the pin store, Dagster runs that do not end, and the machine: disk, clock, "
    "connections of Postgres. Records once an hour how large the tables are. Starts no run.",
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
    held = run_monitor(
        backend.engine(Role.PIPELINES),
        backend.settings,
        rpc=backend.sensor_rpc,
        pins=configured_pin_store(backend.settings, timeout=SENSOR_PIN_SECONDS),
        stuck_runs=runs,
    )
    if held:
        context.log.info("%s", "; ".join(map(str, held)))
    return dg.SkipReason(f"{len(held)} of the monitor's alerts are open.")
