"""``chain/backfill``: ranges of slots, read completely after the fact.

Partitions are dynamic and their keys are the ranges themselves, ``FIRST-LAST`` inclusive: static
ones would have to know where the chain ends, and uncovered ranges lie anywhere. The sensor adds
the ranges that coverage lacks, cut at multiples of BACKFILL_PARTITION_SLOTS; an operator adds any
other range under "Add a partition". What is covered is skipped, so a run that was ended resumes
when its partition is launched again.

A run takes several partitions, one after the other, and materializes each when it is complete.
The pool ``backfill`` lets one run execute at a time, since it spends the whole budget of RPC
calls.
"""

import re
import time
from collections.abc import Iterator, Mapping

import dagster as dg

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_specs import asset_spec
from assets.launches import is_launched_by_person, launched_by
from assets.resources import BackendResource
from zmart_pipelines.ledger.readers.backfill import (
    BackfillProgress,
    BackfillReport,
    backfill,
    backfill_client,
)
from zmart_pipelines.operations import ledger_acts
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import chain as tables

POOL = "backfill"
# The dialog that adds a partition shows this name, and so how a range is written.
RANGES_NAME = "slots_FIRST-LAST"
RANGES = dg.DynamicPartitionsDefinition(name=RANGES_NAME)

# Partitions of one run; each is BACKFILL_PARTITION_SLOTS slots long.
MAX_PARTITIONS = 20
# Seconds that a run may take. A long range takes its time under the budget of RPC calls; what was
# read is kept when the run is ended.
MAX_RUN_SECONDS = 6 * 3600

# Seconds between two lines of progress in a run's log.
_PROGRESS_INTERVAL = 5.0
_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_BACKFILL = dg.AssetKey(["chain", "backfill"])


def partition_key(first_slot: int, last_slot: int) -> str:
    """Return the partition of a range of slots, both ends inclusive."""
    return f"{first_slot}-{last_slot}"


def partition_slots(key: str) -> tuple[int, int]:
    """Return the first and the last slot of a partition.

    Raises:
        dg.Failure: The key is not a range; operators type keys too.
    """
    match = _RANGE.fullmatch(key)
    if match is None or int(match[1]) > int(match[2]):
        raise dg.Failure(
            f"the partition {key!r} is not a range of slots; name it FIRST-LAST, both inclusive, "
            "for example 216000-431999"
        )
    return int(match[1]), int(match[2])


@dg.multi_asset(
    name="backfill",
    specs=[
        asset_spec(
            "chain/backfill",
            table=tables.transactions,
            kinds=["solana"],
            description="Transactions of slot ranges that no poll has read. Each partition is a "
            "range; it is complete when coverage contains all of it. Nothing needs to run this "
            "while coverage is a single range.",
            # Each partition is materialized as soon as it is complete, not at the end of the run.
            skippable=True,
        )
    ],
    partitions_def=RANGES,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=MAX_PARTITIONS),
    pool=POOL,
)
def slot_ranges(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Read what the ranges lack; fail if any of them is still incomplete."""
    ranges = {key: partition_slots(key) for key in context.partition_keys}
    incomplete: dict[str, str] = {}
    engine = backend.engine(Role.INGEST)
    if is_launched_by_person(context.run):
        ledger_acts.record(engine, launched_by(context.run), "backfill", ", ".join(ranges))
    with backfill_client(backend.settings) as rpc:
        for key, (first, last) in sorted(ranges.items(), key=lambda item: item[1]):
            started = time.monotonic()
            report = backfill(
                engine,
                rpc,
                backend.settings,
                first_slot=first,
                last_slot=last,
                progress=ProgressLog(context.log),
            )
            facts = _report_metadata(report, time.monotonic() - started)
            if report.complete:
                context.log_event(dg.AssetMaterialization(_BACKFILL, partition=key, metadata=facts))
            else:
                incomplete[key] = report.missing
                context.log_event(dg.AssetObservation(_BACKFILL, partition=key, metadata=facts))
    if incomplete:
        reasons = [f"slots {key} are not complete: {why}" for key, why in incomplete.items()]
        raise dg.Failure("; ".join(reasons))
    yield from ()


class ProgressLog:
    """Writes the progress of a backfill to a run's log, every few seconds."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        """Write to ``log``."""
        self._log = log
        self._written_at = time.monotonic()

    def __call__(self, state: BackfillProgress) -> None:
        """Log ``state``, unless the last line is too recent."""
        if time.monotonic() - self._written_at < _PROGRESS_INTERVAL:
            return
        self._written_at = time.monotonic()
        self._log.info(
            "covered to slot %s of %d; %d of %d transactions listed so far",
            state.slot,
            state.last_slot,
            state.read,
            state.listed,
        )


def _report_metadata(report: BackfillReport, seconds: float) -> Mapping[str, dg.MetadataValue]:
    numbers = {
        "Slots covered before": report.covered_before,
        "Slots covered by this run": report.covered_now,
        "Listed signatures": report.listed,
        "Fetched transactions": report.fetched,
        "Gaps opened": report.gaps,
        "RPC calls": report.calls,
        "Rate-limited RPC calls": report.limited,
    }
    return {
        "Slot range": dg.MetadataValue.text(f"{report.first_slot} to {report.last_slot}"),
        **{label: dg.MetadataValue.int(number) for label, number in numbers.items()},
        **metadata.ingest_counts(report.result),
        "Uncovered ranges": metadata.table(
            [{"first_slot": start, "last_slot": end} for start, end in report.uncovered]
        ),
        "Duration (seconds)": dg.MetadataValue.float(round(seconds, 3)),
    }


backfill_slots_job = asset_job(
    "backfill_slots",
    "chain/backfill",
    tags={"dagster/max_runtime": str(MAX_RUN_SECONDS)},
    description="Reads ranges of slots that no poll has read, and covers them.",
)
