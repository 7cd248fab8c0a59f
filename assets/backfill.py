"""``chain/backfill``: ranges of slots, read completely after the fact.

Partitions are dynamic and their keys are the ranges themselves, ``FIRST-LAST`` inclusive: a
chain has no end that static ones could know, and holes lie where they lie. The sensor adds the
ranges that coverage lacks, cut at multiples of BACKFILL_PARTITION_SLOTS; a person adds any
other range under "Add a partition". What is covered is skipped, so a run that was ended goes
on when its partition is launched again.

One run per partition, so that each shows by itself whether it is done; the pool ``backfill``
lets one of them run at a time, since each spends the whole budget of RPC calls.
"""

import re
import time

import dagster as dg

from assets import metadata
from assets.chain import ingested
from assets.resources import BackendResource
from assets.spec import asset_spec
from zmart_pipelines.ledger.backfill import Progress, backfill, budgeted
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import chain as tables

POOL = "backfill"
RANGES = dg.DynamicPartitionsDefinition(name="slot_ranges")

_KEY = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
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
        )
    ],
    partitions_def=RANGES,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    pool=POOL,
)
def slots(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Read what is missing of the range; fails while anything of it still is."""
    first, last = slots_of(context.partition_key)
    started = said = time.monotonic()

    def show(state: Progress) -> None:
        nonlocal said
        if time.monotonic() - said < _SAY_EVERY:
            return
        said = time.monotonic()
        context.log.info(
            "covered to slot %s of %d; %d of %d transactions listed so far",
            state.slot,
            state.last_slot,
            state.read,
            state.listed,
        )

    with budgeted(backend.settings, backend.guard) as rpc:
        report = backfill(
            backend.engine(Role.INGEST),
            rpc,
            backend.settings,
            first_slot=first,
            last_slot=last,
            progress=show,
        )
    facts: dict[str, dg.MetadataValue] = {
        "slots": dg.MetadataValue.text(f"{first} to {last}"),
        "slots covered before": dg.MetadataValue.int(report.covered_before),
        "slots covered now": dg.MetadataValue.int(report.covered_now),
        "listed": dg.MetadataValue.int(report.listed),
        "fetched": dg.MetadataValue.int(report.fetched),
        **ingested(report.result),
        "gaps": dg.MetadataValue.int(report.gaps),
        "RPC calls": dg.MetadataValue.int(report.calls),
        "RPC calls limited": dg.MetadataValue.int(report.limited),
        "seconds": dg.MetadataValue.float(round(time.monotonic() - started, 3)),
        "uncovered": metadata.table(
            [{"first_slot": start, "last_slot": end} for start, end in report.uncovered]
        ),
    }
    if not report.complete:
        reason = (
            f"{report.gaps} listed transactions could not be read; the finalized reader tries on"
            if report.gaps
            else f"only slots up to {report.finalized_slot} are finalized"
        )
        raise dg.Failure(f"slots {first} to {last} are not complete: {reason}", metadata=facts)
    return dg.MaterializeResult(asset_key=["chain", "backfill"], metadata=facts)


ASSETS = [slots]
