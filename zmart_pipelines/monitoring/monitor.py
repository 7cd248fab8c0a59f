"""One round of the monitor: read the facts, apply the rules, raise and clear the alerts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.heartbeats import record_heartbeat
from zmart_pipelines.monitoring.monitor_rules import (
    TOPICS,
    Finding,
    MachineFacts,
    findings,
    stuck_limits,
)
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.monitor import monitor_facts

# The service whose last success is the end of the last round.
HEARTBEAT: Final = "monitor"


def run_monitor(
    conn: Connection, settings: Settings, stuck_runs: Sequence[tuple[str, str]] = ()
) -> list[AlertKey]:
    """Run one round; return the keys of the alerts that hold. The caller commits.

    Args:
        conn: Reads the tables, writes alerts.
        settings: The thresholds.
        stuck_runs: Job and id of Dagster runs that have not ended for too long, oldest first.
    """
    machine = measure_machine(conn, settings, stuck_runs)
    facts = monitor_facts(conn, stuck_limits(settings))
    found = findings(facts, machine, settings)
    _update(conn, found)
    held = [finding.key for finding in found]
    record_heartbeat(conn, HEARTBEAT, {"open": len(held)})
    return held


def measure_machine(
    conn: Connection, settings: Settings, stuck_runs: Sequence[tuple[str, str]] = ()
) -> MachineFacts:
    """Measure disk and clock of this machine."""
    folder = settings.zmart_state.resolve()
    while not folder.exists():
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    before = time.time()
    database = conn.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one()
    after = time.time()
    # The answer left the database between the two readings.
    offset = (before + after) / 2 - float(database)
    used = 100.0 * disk.used / max(1, disk.used + disk.free)
    return MachineFacts(used, offset, tuple(stuck_runs))


def _update(conn: Connection, found: Sequence[Finding]) -> None:
    held = {finding.key for finding in found}
    for finding in found:
        raise_alert(conn, finding.key, finding.severity, finding.message)
    for topic in TOPICS:
        for key in open_alerts(conn, topic=topic):
            if key not in held:
                clear_alert(conn, key)
