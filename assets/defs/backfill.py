"""``chain/backfill``: ranges of slots, read completely after the fact.

Partitions are dynamic and their keys are the ranges themselves, ``FIRST-LAST`` inclusive: a
chain has no end that static ones could know, and holes lie where they lie. The sensor adds the
ranges that coverage lacks, cut at multiples of BACKFILL_PARTITION_SLOTS; a person adds any
other range under "Add a partition". What is covered is skipped, so a run that was ended goes
on when its partition is launched again.

A run takes several partitions, one after the other, and each shows by itself whether it is
done. The pool ``backfill`` lets one run go at a time, since it spends the whole budget of RPC
calls.
"""

import re
import time
from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_specs import asset_spec
from assets.resources import BackendResource
from zmart_pipelines.ledger.readers.backfill import (
    BackfillProgress,
    BackfillReport,
    backfill,
    backfill_client,
)
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import chain as tables

POOL = "backfill"
RANGES_NAME = "slot_ranges"
RANGES = dg.DynamicPartitionsDefinition(name=RANGES_NAME)

_KEY = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
# Of one run; each is BACKFILL_PARTITION_SLOTS long.
MOST_PARTITIONS = 20
ASSET = dg.AssetKey(["chain", "backfill"])

# Of a run over ranges of slots, at most.
BACKFILL_SECONDS = 6 * 3600

# Seconds between two lines of progress in a run's log.
_SAY_EVERY = 5.0


def key_of(first_slot: int, last_slot: int) -> str:
    """The partition of a range of slots, both ends inclusive."""
    return f"{first_slot}-{last_slot}"


def slots_of(key: str) -> tuple[int, int]:
    """The range of a partition. dg.Failure for a key that is none; people type them too."""
    match = _KEY.fullmatch(key)
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
            "range; it is done when coverage holds all of it. Nothing needs to run this as long "
            "as coverage has no hole.",
            # Its materializations are told one by one, as the partitions of a run are done.
        ).replace_attributes(skippable=True)
    ],
    partitions_def=RANGES,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=MOST_PARTITIONS),
    pool=POOL,
)
def slots(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Read what is missing of the ranges; fails while anything of one still is."""
    wanted = {key: slots_of(key) for key in context.partition_keys}
    incomplete: dict[str, str] = {}
    engine = backend.engine(Role.INGEST)
    with backfill_client(backend.settings) as rpc:
        for key, (first, last) in sorted(wanted.items(), key=lambda one: one[1]):
            started = time.monotonic()
            report = backfill(
                engine,
                rpc,
                backend.settings,
                first_slot=first,
                last_slot=last,
                progress=_Said(context.log),
            )
            facts = _facts(report, time.monotonic() - started)
            if report.complete:
                context.log_event(dg.AssetMaterialization(ASSET, partition=key, metadata=facts))
            else:
                incomplete[key] = report.missing
                context.log_event(dg.AssetObservation(ASSET, partition=key, metadata=facts))
    if incomplete:
        reasons = [f"slots {key} are not complete: {why}" for key, why in incomplete.items()]
        raise dg.Failure("; ".join(reasons))
    yield from ()


class _Said:
    """Tells a run's log how far it is, now and then."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log
        self._at = time.monotonic()

    def __call__(self, state: BackfillProgress) -> None:
        if time.monotonic() - self._at < _SAY_EVERY:
            return
        self._at = time.monotonic()
        self._log.info(
            "covered to slot %s of %d; %d of %d transactions listed so far",
            state.slot,
            state.last_slot,
            state.read,
            state.listed,
        )


def _facts(report: BackfillReport, seconds: float) -> dict[str, dg.MetadataValue]:
    return {
        "slots": dg.MetadataValue.text(f"{report.first_slot} to {report.last_slot}"),
        "slots covered before": dg.MetadataValue.int(report.covered_before),
        "slots covered now": dg.MetadataValue.int(report.covered_now),
        "listed": dg.MetadataValue.int(report.listed),
        "fetched": dg.MetadataValue.int(report.fetched),
        **metadata.ingest_counts(report.result),
        "gaps": dg.MetadataValue.int(report.gaps),
        "RPC calls": dg.MetadataValue.int(report.calls),
        "RPC calls limited": dg.MetadataValue.int(report.limited),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
        "uncovered": metadata.table(
            [{"first_slot": start, "last_slot": end} for start, end in report.uncovered]
        ),
    }


backfill_slots_job = asset_job(
    "backfill_slots",
    "chain/backfill",
    # A long range under the budget takes its time; what is read is kept if it is given up.
    tags={"dagster/max_runtime": str(BACKFILL_SECONDS)},
    description="Reads a range of slots that no poll has read, and covers it.",
)
