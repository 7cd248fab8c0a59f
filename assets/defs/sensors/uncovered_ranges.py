"""The sensor that has holes in coverage filled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile

import dagster as dg
import msgspec

from assets.dagster_internals import partition_range_tags
from assets.defs.backfill import (
    BACKFILL_SECONDS,
    MOST_PARTITIONS,
    RANGES,
    RANGES_NAME,
    backfill_slots_job,
    key_of,
)
from assets.resources import BackendResource
from assets.run_requests import Asked
from assets.runs_in_flight import in_flight
from assets.sensor_ticks import INTERVAL, Tick, patient
from zmart_pipelines.ledger.readers.coverage import split_ranges, uncovered_ranges
from zmart_pipelines.store.engine import Role

# Partitions added at one look.
_MOST = 100


@dg.sensor(
    name="uncovered_ranges_sensor",
    job=backfill_slots_job,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds the slot ranges between covered ones as partitions of chain/backfill and "
    "starts a run for the first of them.",
)
@patient(None)
def uncovered_ranges_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for the first ranges that coverage lacks."""
    with backend.engine(Role.READ).connect() as conn:
        found = uncovered_ranges(conn)
    if not found:
        return dg.SkipReason("Coverage has no hole.")
    ranges = split_ranges(found, backend.settings.backfill_partition_slots, limit=_MOST)
    keys = [key_of(first, last) for first, last in ranges]
    if in_flight(context.instance, backfill_slots_job.name, timedelta(seconds=BACKFILL_SECONDS)):
        return dg.SkipReason(f"A run of {backfill_slots_job.name} is already under way.")
    last, now = Asked.of(context.cursor), time.time()
    pause = last.pause(keys[0], now)
    if pause > 0:
        return dg.SkipReason(f"{keys[0]} was asked for already; again in {pause:.0f} s.")
    known = context.instance.get_dynamic_partitions(RANGES_NAME)
    return dg.SensorResult(
        run_requests=[run_request(keys, known)],
        dynamic_partitions_requests=[RANGES.build_add_request(keys)],
        cursor=msgspec.json.encode(last.again(keys[0], now)).decode(),
    )


def run_request(keys: Sequence[str], known: Sequence[str]) -> dg.RunRequest:
    """One run for the first key and those that follow it among the partitions, too.

    A run takes a range of partitions in the order in which they were added.

    :param known: the partitions before ``keys`` are added to them.
    """
    order = [*known, *(key for key in keys if key not in known)]
    start = order.index(keys[0])
    together = takewhile(lambda pair: pair[0] == pair[1], zip(keys, order[start:], strict=False))
    run = [key for key, _ in together][:MOST_PARTITIONS]
    if len(run) == 1:
        return dg.RunRequest(partition_key=run[0])
    return dg.RunRequest(tags=partition_range_tags(run[0], run[-1]))
