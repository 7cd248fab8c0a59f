"""The sensor that has holes in coverage filled."""

from __future__ import annotations

import time
from datetime import timedelta

import dagster as dg
import msgspec

from assets.backfill import RANGES, key_of
from assets.jobs import BACKFILL_SECONDS, backfill_slots
from assets.resources import BackendResource
from assets.sensors.asking import Asked, in_flight
from assets.sensors.ticks import INTERVAL, Tick, patient
from zmart_pipelines.ledger.backfill import holes, pieces
from zmart_pipelines.store.engine import Role

# Partitions added at one look.
_MOST = 100


@dg.sensor(
    name="hole_sensor",
    job=backfill_slots,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds the slot ranges between covered ones as partitions of chain/backfill and "
    "starts them, one at a time.",
)
@patient(None)
def hole_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for the first range that coverage lacks."""
    with backend.engine(Role.READ).connect() as conn:
        found = holes(conn)
    if not found:
        return dg.SkipReason("Coverage has no hole.")
    ranges = pieces(found, backend.settings.backfill_partition_slots, limit=_MOST)
    keys = [key_of(first, last) for first, last in ranges]
    if in_flight(context.instance, backfill_slots.name, timedelta(seconds=BACKFILL_SECONDS)):
        return dg.SkipReason(f"A run of {backfill_slots.name} is already under way.")
    last, now = Asked.of(context.cursor), time.time()
    pause = last.pause(keys[0], now)
    if pause > 0:
        return dg.SkipReason(f"{keys[0]} was asked for already; again in {pause:.0f} s.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key=keys[0])],
        dynamic_partitions_requests=[RANGES.build_add_request(keys)],
        cursor=msgspec.json.encode(last.again(keys[0], now)).decode(),
    )


SENSORS = [hole_sensor]
