"""Group ``chain``: the ledger as read from Solana, and the proof that it is complete.

Reading and ingesting are ``zmart_pipelines.ledger``; the confirmed poll runs in its sensor.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import dagster as dg

from assets import metadata
from assets.asset_checks import LATENCY_LIMIT, breaker_result, older_than
from assets.asset_jobs import asset_job, job_schedule
from assets.asset_specs import asset_spec, materialized_within
from assets.resources import BackendResource
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.monitoring.heartbeats import beat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import breakers, health
from zmart_pipelines.store.queries.committed_changes import latencies, ledger_version, newest
from zmart_pipelines.store.tables import chain as tables

# A gap is retried within seconds; one that stays this long is not being closed.
GAP_LIMIT = timedelta(minutes=5)
QUARANTINE_LIMIT = timedelta(minutes=15)
_HOUR = 3600
# Longer than any time: all of it in one piece.
_EVER = 2**40

_EVENT_LEDGER = dg.AssetKey(["chain", "event_ledger"])
_COVERAGE = dg.AssetKey(["chain", "coverage"])


@dg.multi_asset(
    name="finalized_window",
    specs=[
        asset_spec(
            "chain/event_ledger",
            table=tables.events,
            kinds=["solana"],
            deps=["chain/deliveries"],
            description="Every event of the program, exactly once, decoded or quarantined, with "
            "its commitment. The append-only record that all other chain tables are folded from.",
            freshness=materialized_within(warn=3, fail=10),
        ),
        asset_spec(
            "chain/coverage",
            table=tables.coverage,
            kinds=["solana"],
            deps=["chain/event_ledger"],
            description="The slot ranges read completely at finalized. One range without a hole "
            "proves that the ledger misses nothing between its ends.",
            freshness=materialized_within(warn=3, fail=10),
        ),
    ],
)
def finalized_window(backend: BackendResource) -> Iterator[dg.MaterializeResult[None]]:
    """Read from the cursor to the finalized tip and cover it, in one step.

    ``reused`` were read at confirmed and need no second reading.
    """
    started = time.monotonic()
    engine = backend.engine(Role.INGEST)
    report = read_finalized_window(engine, backend.rpc, backend.settings)
    tip = backend.rpc.slot("confirmed")
    finalized_time = backend.rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.READ).connect() as conn:
        lag = health.ledger_lag(conn)
        counts = {count.name or "quarantined": count.events for count in health.event_counts(conn)}
        latest = newest(conn)
        version = ledger_version(conn)
        ranges = health.coverage(conn)
        gaps = health.gaps(conn)
    with backend.engine(Role.PIPELINES).begin() as conn:
        beat(conn, "event-indexer", {"finalized_slot": report.last_slot, "confirmed_slot": tip})
    seconds = dg.MetadataValue.float(round(time.monotonic() - started, 3))
    yield dg.MaterializeResult(
        asset_key=_EVENT_LEDGER,
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": lag.events,
            "slots": f"{report.first_slot} to {report.last_slot}",
            "listed": report.listed,
            "fetched": report.fetched,
            "reused": report.reused,
            **metadata.ingest_counts(report.result),
            "events by type": metadata.counts(counts),
            "lag in slots": max(0, tip - report.last_slot),
            "lag in seconds": round(max(0.0, time.time() - finalized_time), 3),
            "waiting for finality": lag.confirmed + lag.reported,
            "signatures": metadata.links(backend.settings, [row.signature for row in latest]),
            "newest transactions": metadata.table(
                metadata.rows(latest, "signature", "slot", "commitment", "block_time")
            ),
            "seconds": seconds,
        },
    )
    yield dg.MaterializeResult(
        asset_key=_COVERAGE,
        metadata={
            "dagster/row_count": len(ranges),
            "covered to slot": report.last_slot,
            "holes": report.uncovered_ranges,
            "gaps opened": report.gaps,
            "gaps closed": report.gaps_closed,
            "reported looked up": report.reported_verified,
            "ranges": metadata.table(
                metadata.rows(ranges, "first_slot", "last_slot", "covered_at")
            ),
            "open gaps": metadata.table(
                metadata.rows(gaps, "signature", "slot", "reason", "attempts", "opened_at")
            ),
        },
    )


@dg.asset_check(
    asset=_COVERAGE,
    name="coverage_has_no_gaps",
    description="No slot between the first and the last covered one is unread, and no "
    "transaction known to be missing stays missing for five minutes.",
)
def coverage_has_no_gaps(backend: BackendResource) -> dg.AssetCheckResult:
    """More than one covered range means a hole between them."""
    with backend.engine(Role.READ).connect() as conn:
        ranges = health.coverage(conn)
        gaps = [gap for gap in health.gaps(conn) if older_than(gap.opened_at, GAP_LIMIT)]
    holes = [
        {"first slot": before.last_slot + 1, "last slot": after.first_slot - 1}
        for before, after in pairwise(ranges)
    ]
    return dg.AssetCheckResult(
        passed=not holes and not gaps,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(holes)} holes, {len(gaps)} gaps open for over {GAP_LIMIT}",
        metadata={
            "holes": metadata.table(holes),
            "gaps": metadata.table(metadata.rows(gaps, "signature", "slot", "reason", "attempts")),
        },
    )


@dg.asset_check(
    asset=_EVENT_LEDGER,
    name="quarantine_within_deadline",
    description="No event line has been waiting in quarantine for more than 15 minutes.",
)
def quarantine_within_deadline(backend: BackendResource) -> dg.AssetCheckResult:
    """What cannot be decoded is kept; for long it may not stay unread."""
    with backend.engine(Role.READ).connect() as conn:
        overdue = [
            line
            for line in health.quarantined(conn)
            if older_than(line.first_seen_at, QUARANTINE_LIMIT)
        ]
    return dg.AssetCheckResult(
        passed=not overdue,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(overdue)} event lines in quarantine for over {QUARANTINE_LIMIT}",
        metadata={
            "lines": metadata.table(
                metadata.rows(overdue, "signature", "log_index", "slot", "quarantine_reason")
            )
        },
    )


@dg.asset_check(
    asset=_EVENT_LEDGER,
    name="latency_within_limit",
    description="Half of the last hour's transactions were in the ledger within ten seconds of "
    "their block, by webhook or by the confirmed poll.",
)
def latency_within_limit(backend: BackendResource) -> dg.AssetCheckResult:
    """A warning: nothing is wrong or lost, it only comes late."""
    with backend.engine(Role.READ).connect() as conn:
        whole = next(iter(latencies(conn, seconds=_HOUR, piece=_EVER)), None)
    median = 0.0 if whole is None else whole.median
    return dg.AssetCheckResult(
        passed=median <= LATENCY_LIMIT,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{median:.1f} s from block to row in the median of the last hour"
        if whole is not None
        else "nothing came by webhook or poll in the last hour",
        metadata={
            "transactions": 0 if whole is None else whole.transactions,
            "median in seconds": round(median, 3),
            "latest in seconds": 0.0 if whole is None else round(whole.worst, 3),
        },
    )


@dg.asset_check(
    asset=_COVERAGE,
    name="rpc_breakers_closed",
    description="No circuit breaker of an RPC endpoint is open after failures.",
)
def rpc_breakers_closed(backend: BackendResource) -> dg.AssetCheckResult:
    """Warn only: another endpoint may serve, and an alert follows after five minutes."""
    with backend.engine(Role.READ).connect() as conn:
        found = breakers.breakers(conn)
    return breaker_result([row for row in found if row.name.startswith("rpc:")])


finalized_window_job = asset_job(
    "read_finalized_window",
    # With the checks that cost no more than reading small tables; the others run with reconcile.
    "chain/event_ledger",
    "chain/coverage",
    checks=dg.AssetSelection.checks(
        coverage_has_no_gaps,
        quarantine_within_deadline,
        latency_within_limit,
        rpc_breakers_closed,
    ),
    description="Reads the next closed window at finalized and proves it complete.",
)

finalized_window_schedule = job_schedule(
    finalized_window_job.name,
    "* * * * *",
    "Each minute: reads what has been finalized and extends the proof of completeness.",
)
