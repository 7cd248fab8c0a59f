"""One round of the monitor: read the facts, apply the rules, raise and clear the alerts."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, func, select

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ipfs.pin_store import PinError, PinStore
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.chain_facts import UNKNOWN, ChainFacts, ChainMonitor
from zmart_pipelines.monitoring.heartbeats import recent_detail, record_heartbeat
from zmart_pipelines.monitoring.monitor_rules import (
    TOPICS,
    Facts,
    Finding,
    MachineFacts,
    PinFacts,
    findings,
    stuck_limits,
    unjudged,
)
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.api_counts import api_figures
from zmart_pipelines.store.queries.discussion_snapshots import failed_pins
from zmart_pipelines.store.queries.market_parts import PARTS
from zmart_pipelines.store.queries.monitor import monitor_facts
from zmart_pipelines.store.queries.table_sizes import record_sizes

log = logging.getLogger(__name__)

# The service whose last success is the end of the last round.
HEARTBEAT: Final = "monitor"
# Between two rounds.
ROUND_SECONDS: Final = 30
# The service whose last success is the last measurement of what is pinned.
PIN_STORAGE: Final = "pin-storage"
PIN_STORAGE_SECONDS: Final = 240


def run_monitor(
    engine: Engine,
    settings: Settings,
    *,
    rpc: RpcClient | None = None,
    pins: PinStore | None = None,
    stuck_runs: Sequence[tuple[str, str]] = (),
) -> list[AlertKey]:
    """Run one round; return the keys of the alerts that hold. Once an hour, record sizes of tables.

    What cannot be read is not judged: its alerts stay as they are. The chain and the pin store are
    read outside of the transaction that writes the alerts.

    Args:
        engine: Of the pipelines.
        settings: The thresholds.
        rpc: Reads the chain; without it nothing is known of the chain.
        pins: Says how much is pinned; without it nothing is known of that.
        stuck_runs: Job and id of Dagster runs that have not ended for too long, oldest first.
    """
    part = int(time.time() // ROUND_SECONDS) % PARTS
    chain = UNKNOWN if rpc is None else _read_chain(engine, settings, rpc, part)
    used = None if pins is None else _used_bytes(engine, pins)
    with engine.begin() as conn:
        facts = Facts(
            monitor_facts(conn, stuck_limits(settings), reader=HEARTBEAT, part=part),
            measure_machine(conn, settings, stuck_runs),
            chain,
            api_figures(conn),
            PinFacts(used, failed_pins(conn, settings.failed_upload_attempts)),
        )
        found = findings(facts, settings)
        _update(conn, found, unjudged(facts))
        held = [finding.key for finding in found]
        record_sizes(conn)
        record_heartbeat(conn, HEARTBEAT, {"open": len(held)})
    return held


def _read_chain(engine: Engine, settings: Settings, rpc: RpcClient, part: int) -> ChainFacts:
    with engine.connect() as conn:
        short = [key.market_id for key in open_alerts(conn, topic="claims_not_payable")]
    reading = ChainMonitor(engine, rpc, settings.program)
    return reading.read(HEARTBEAT, part, [one for one in short if one is not None])


def _used_bytes(engine: Engine, pins: PinStore) -> int | None:
    """Return how much is pinned; what was measured lately is not measured again."""
    with engine.connect() as conn:
        known = recent_detail(conn, PIN_STORAGE, timedelta(seconds=PIN_STORAGE_SECONDS))
    if known is not None:
        return int(known["bytes"])
    try:
        used = pins.used_bytes()
    except PinError as error:
        log.warning("the size of what is pinned cannot be measured: %s", error)
        return None
    with engine.begin() as conn:
        record_heartbeat(conn, PIN_STORAGE, {"bytes": used})
    return used


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


def _update(conn: Connection, found: Sequence[Finding], unknown: Collection[str]) -> None:
    held = {finding.key for finding in found}
    for finding in found:
        raise_alert(conn, finding.key, finding.severity, finding.message)
    for topic in TOPICS:
        for key in open_alerts(conn, topic=topic):
            if key not in held and topic not in unknown:
                clear_alert(conn, key)
