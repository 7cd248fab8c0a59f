"""The sensor that backfills the slot ranges between covered ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile

import dagster as dg

from assets.catalog import OWNERS
from assets.dagster_internals import partition_range_tags
from assets.defs.backfill import (
    MAX_PARTITIONS,
    MAX_RUN_SECONDS,
    RANGES,
    RANGES_NAME,
    backfill_slots_job,
    partition_key,
)
from assets.resources import BackendResource
from assets.run_requests import RequestCursor
from assets.runs_in_flight import in_flight
from assets.sensor_ticks import LATER_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.ledger.readers.coverage import split_ranges, uncovered_ranges
from zmart_pipelines.store.engine import Role

# Partitions added in one tick.
_MAX_ADDED = 100


@dg.sensor(
    owners=OWNERS,
    name="uncovered_ranges_sensor",
    job=backfill_slots_job,
    minimum_interval_seconds=LATER_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds the slot ranges between covered ones as partitions of chain/backfill and "
    "starts a run for the first of them.",
)
@skip_on_outage()
def uncovered_ranges_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request the first ranges that coverage lacks."""
    with backend.engine(Role.READ).connect() as conn:
        uncovered = uncovered_ranges(conn)
    if not uncovered:
        return dg.SkipReason("Coverage is a single range.")
    ranges = split_ranges(uncovered, backend.settings.backfill_partition_slots, limit=_MAX_ADDED)
    keys = [partition_key(first, last) for first, last in ranges]
    job = backfill_slots_job.name
    if in_flight(context.instance, job, timedelta(seconds=MAX_RUN_SECONDS)):
        return dg.SkipReason(f"A run of {job} is already in flight.")
    last_request, now = RequestCursor.decode(context.cursor), time.time()
    pause = last_request.pause(keys[0], now)
    if pause > 0:
        return dg.SkipReason(f"{keys[0]} was requested already; next in {pause:.0f} s.")
    known = context.instance.get_dynamic_partitions(RANGES_NAME)
    return dg.SensorResult(
        run_requests=[backfill_request(keys, known)],
        dynamic_partitions_requests=[RANGES.build_add_request(keys)],
        cursor=last_request.after_request(keys[0], now).encode(),
    )


def backfill_request(keys: Sequence[str], known: Sequence[str]) -> dg.RunRequest:
    """Return one run for the first key and those that directly follow it among the partitions.

    A run takes a range of partitions in the order in which they were added.

    Args:
        keys: Partitions that are due, at least one.
        known: All partitions before ``keys`` are added.
    """
    order = [*known, *(key for key in keys if key not in known)]
    start = order.index(keys[0])
    adjacent = takewhile(lambda pair: pair[0] == pair[1], zip(keys, order[start:], strict=False))
    run = [key for key, _ in adjacent][:MAX_PARTITIONS]
    if len(run) == 1:
        return dg.RunRequest(partition_key=run[0])
    return dg.RunRequest(tags=partition_range_tags(run[0], run[-1]))
