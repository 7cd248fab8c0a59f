"""``community/discussion_snapshots``: each day's changes of every discussion, pinned to IPFS.

A partition is a UTC day. A market's snapshot covers the time since its last one, so that the next
run catches up on days that were missed, and a partition that is materialized again finds nothing
to do but to pin what could not be pinned before.
"""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.resources import Backend, BackendResource
from assets.runs_in_flight import in_flight
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import PinError
from zmart_pipelines.snapshots.integrity import broken_links
from zmart_pipelines.snapshots.taking import (
    SETTLE,
    Taken,
    end_of,
    pin_documents,
    take_snapshots,
)
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import discussion_snapshots as rows
from zmart_pipelines.store.tables.snapshots import ipfs_anchors

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", timezone="UTC")
ASSET = dg.AssetKey(["community", "discussion_snapshots"])
# Files that the daily check reads back.
_SAMPLE = 10


@dg.multi_asset(
    name="discussion_snapshots",
    specs=[
        asset_spec(
            "community/discussion_snapshots",
            table=ipfs_anchors,
            kinds=["ipfs"],
            description="The comments of each market that were written, edited or deleted since "
            "its last snapshot, as canonical JSON pinned to IPFS. Each file names the one before.",
            skippable=True,
        ).replace_attributes(partitions_def=DAYS)
    ],
)
def discussion_snapshots(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Take what is due at the end of the day, then pin everything that is not pinned yet."""
    engine, day = backend.engine(Role.PIPELINES), date.fromisoformat(context.partition_key)
    _settle(end_of(day) + SETTLE)
    taken: list[Taken] = []
    for one in take_snapshots(engine, day, datetime.now(UTC)):
        taken.append(one)
        context.log.info(
            "market %s: %s comments in %s files", one.market_id.hex(), one.comments, one.parts
        )
    pinned = list(pin_documents(engine, configured_pin_store(backend.settings)))
    failed = [one for one in pinned if one.error is not None]
    with backend.engine(Role.READ).connect() as conn:
        newest = rows.newest_anchors(conn, limit=metadata.PREVIEW_ROWS)
    result = dg.MaterializeResult[None](
        asset_key=ASSET,
        metadata={
            "Markets": len(taken),
            "Comments": sum(one.comments for one in taken),
            "Files pinned": len(pinned) - len(failed),
            "Bytes": sum(one.bytes for one in taken),
            "Slowest market (s)": round(max((one.seconds for one in taken), default=0.0), 3),
            "Newest files": metadata.table(
                metadata.rows(newest, "market_id", "day", "part", "comments", "cid", "pinned_at")
            ),
        },
    )
    yield from record_result(context, result, changed=bool(taken or pinned))
    if failed:
        raise dg.Failure(
            f"{len(failed)} of {len(pinned)} files could not be pinned; the next run tries again."
            f" The first: {failed[0].cid}: {failed[0].error}"
        )


def _settle(moment: datetime) -> None:
    """Wait for a moment that is near; a run of midnight comes a little early."""
    left = (moment - datetime.now(UTC)).total_seconds()
    if 0 < left <= SETTLE.total_seconds():
        time.sleep(left)


@dg.asset_check(
    asset=ASSET,
    name="snapshots_are_whole",
    description="The CID of every stored file is computed again, and every file names the one "
    "before it.",
)
def snapshots_are_whole(backend: BackendResource) -> dg.AssetCheckResult:
    """Compute and compare; nothing is taken from the rows but the bytes."""
    with backend.engine(Role.READ).connect() as conn:
        found = list(broken_links(rows.stored_documents(conn)))
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=found[0].reason if found else "every file is whole and named by the next",
        metadata={
            "Files": metadata.table(metadata.rows(found, "market_id", "day", "part", "reason"))
        },
    )


@dg.asset_check(
    asset=ASSET,
    name="snapshots_can_be_read",
    description="A random sample of the pinned files is read back from where it was pinned.",
)
def snapshots_can_be_read(backend: BackendResource) -> dg.AssetCheckResult:
    """Read a sample and compare its bytes."""
    store = configured_pin_store(backend.settings)
    with backend.engine(Role.READ).connect() as conn:
        sample = rows.sample_pinned(conn, _SAMPLE)
    unreadable = []
    for anchor in sample:
        try:
            if cid_v0(store.fetch_back(anchor.cid)) != anchor.cid:
                unreadable.append(f"{anchor.cid}: other bytes")
        except PinError as error:
            unreadable.append(f"{anchor.cid}: {error}")
    return dg.AssetCheckResult(
        passed=not unreadable,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(sample) - len(unreadable)} of {len(sample)} files were read back",
        metadata={"Unreadable": metadata.texts(unreadable)},
    )


snapshot_job = asset_job(
    "snapshot_discussions",
    "community/discussion_snapshots",
    description="Pins the changes of every discussion up to the end of a UTC day.",
    checks=dg.AssetSelection.checks(
        *(
            dg.AssetCheckKey(ASSET, name)
            for name in ("snapshots_are_whole", "snapshots_can_be_read")
        )
    ),
)


def files_due(backend: Backend, day: date) -> int:
    """Return how many markets a run for ``day`` would snapshot, and files it would pin."""
    with backend.engine(Role.READ).connect() as conn:
        return len(rows.markets_due(conn, end_of(day))) + rows.count_unpinned(conn)


@dg.schedule(
    name=f"{snapshot_job.name}_schedule",
    job_name=snapshot_job.name,
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    description="At 00:00 UTC: the snapshots of the day that ended. In later hours: what was "
    "missed or could not be pinned.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def snapshot_discussions_schedule(
    context: dg.ScheduleEvaluationContext, backend: BackendResource
) -> dg.RunRequest | dg.SkipReason:
    """Request the last day that has ended, if there is anything to do."""
    if in_flight(context.instance, snapshot_job.name):
        return dg.SkipReason(f"A run of {snapshot_job.name} is still in flight.")
    day = (context.scheduled_execution_time.astimezone(UTC) - timedelta(days=1)).date()
    number = files_due(backend, day)
    if not number:
        return dg.SkipReason("Nothing is due.")
    return dg.RunRequest(partition_key=day.isoformat(), tags={"zmart/due": str(number)})
