"""``chain/event_ledger`` and ``chain/coverage``: the ledger, and the proof that it is complete.

Reading and ingesting are in ``zmart_pipelines.ledger``; the confirmed poll runs in its sensor.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import dagster as dg
from sqlalchemy import Connection

from assets import metadata
from assets.asset_checks import LATENCY_LIMIT, breaker_result, older_than
from assets.asset_jobs import asset_job, job_schedule
from assets.asset_results import record_result
from assets.asset_specs import asset_spec, materialized_within
from assets.freshness import VerifiedWithin
from assets.resources import BackendResource
from zmart_pipelines.health.chain_tips import ChainTips, read_tips
from zmart_pipelines.health.measure import health as health_of_services
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.monitoring.heartbeats import START, record_heartbeat
from zmart_pipelines.monitoring.work_health import (
    CONFIRMED_LAG,
    CONFIRMED_SLOTS,
    FINALIZED_LAG,
    FINALIZED_SLOTS,
    judge,
)
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import breakers, health, work_health
from zmart_pipelines.store.queries.committed_changes import (
    latencies,
    ledger_version,
    newest_transactions,
)
from zmart_pipelines.store.tables import chain as tables

# A gap is retried within seconds; one that stays open this long is not being closed.
GAP_LIMIT = timedelta(minutes=5)
QUARANTINE_LIMIT = timedelta(minutes=15)
# How far back a pause between two windows is still reported: to the last run of the check.
LAG_HISTORY = timedelta(minutes=10)
LAGS = {one.name for one in (CONFIRMED_LAG, CONFIRMED_SLOTS, FINALIZED_LAG, FINALIZED_SLOTS)}
_HOUR = 3600
# Seconds, longer than any period: the latency is of the whole hour, not of pieces of it.
_WHOLE_PERIOD = 2**40

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
            freshness=VerifiedWithin(warn=3, fail=10),
            skippable=True,
        ),
        asset_spec(
            "chain/coverage",
            table=tables.coverage,
            kinds=["solana"],
            deps=["chain/event_ledger"],
            description="The slot ranges read completely at finalized. A single range proves that "
            "the ledger misses nothing between its ends.",
            freshness=materialized_within(warn=3, fail=10),
        ),
    ],
)
def finalized_window(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Read from the cursor to the finalized slot and cover that range, in one step.

    Reused transactions were read at confirmed and need no second read.
    """
    started = time.monotonic()
    engine = backend.engine(Role.INGEST)
    report = read_finalized_window(engine, backend.rpc, backend.settings)
    tip = backend.rpc.slot("confirmed")
    finalized_time = backend.rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.READ).connect() as conn:
        lag = health.ledger_lag(conn)
        counts = {count.name or "quarantined": count.events for count in health.event_counts(conn)}
        latest = newest_transactions(conn)
        version = ledger_version(conn)
        ranges = health.coverage(conn)
        gaps = health.gaps(conn)
    with backend.engine(Role.PIPELINES).begin() as conn:
        record_heartbeat(
            conn, "event-indexer", {"finalized_slot": report.last_slot, "confirmed_slot": tip}
        )
    yield from record_result(
        context,
        dg.MaterializeResult(
            asset_key=_EVENT_LEDGER,
            data_version=dg.DataVersion(version),
            metadata={
                "dagster/row_count": lag.events,
                "Slot range": f"{report.first_slot} to {report.last_slot}",
                "Listed signatures": report.listed,
                "Fetched transactions": report.fetched,
                "Reused transactions": report.reused,
                **metadata.ingest_counts(report.result),
                "Events by type": metadata.counts(counts),
                "Awaiting finality": lag.confirmed + lag.reported,
                "Signatures": metadata.links(backend.settings, [row.signature for row in latest]),
                "Newest transactions": metadata.table(
                    metadata.rows(latest, "signature", "slot", "commitment", "block_time")
                ),
            },
        ),
        changed=_changed(report.result),
    )
    yield dg.MaterializeResult(
        asset_key=_COVERAGE,
        metadata={
            "dagster/row_count": len(ranges),
            "Finalized slot": report.last_slot,
            "Slots behind": max(0, tip - report.last_slot),
            "Seconds behind": round(max(0.0, time.time() - finalized_time), 3),
            "Uncovered ranges": report.uncovered_ranges,
            "Gaps opened": report.gaps,
            "Gaps closed": report.gaps_closed,
            "Reported transactions verified": report.reported_verified,
            "Covered ranges": metadata.table(
                metadata.rows(ranges, "first_slot", "last_slot", "covered_at")
            ),
            "Open gaps": metadata.table(
                metadata.rows(gaps, "signature", "kind", "slot", "reason", "attempts", "opened_at")
            ),
            "Duration (seconds)": round(time.monotonic() - started, 3),
        },
    )


def _changed(result: IngestResult) -> bool:
    """Return whether a window wrote anything to the ledger."""
    return bool(result.new_transactions or result.new_events or result.promoted or result.orphaned)


@dg.asset_check(
    asset=_COVERAGE,
    name="coverage_has_no_gaps",
    description="No slot between the first and the last covered one is unread, and no "
    "transaction known to be missing stays missing for five minutes.",
)
def coverage_has_no_gaps(backend: BackendResource) -> dg.AssetCheckResult:
    """Fail when there is more than one covered range, or an old open gap."""
    with backend.engine(Role.READ).connect() as conn:
        ranges = health.coverage(conn)
        gaps = [gap for gap in health.gaps(conn) if older_than(gap.opened_at, GAP_LIMIT)]
    uncovered = [
        {"first slot": before.last_slot + 1, "last slot": after.first_slot - 1}
        for before, after in pairwise(ranges)
    ]
    return dg.AssetCheckResult(
        passed=not uncovered and not gaps,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(uncovered)} uncovered ranges, {len(gaps)} gaps open for over "
        f"{GAP_LIMIT}",
        metadata={
            "Uncovered ranges": metadata.table(uncovered),
            "Open gaps": metadata.table(
                metadata.rows(gaps, "signature", "kind", "slot", "reason", "attempts")
            ),
        },
    )


@dg.asset_check(
    asset=_EVENT_LEDGER,
    name="quarantine_within_deadline",
    description="No event has been in quarantine for more than 15 minutes.",
)
def quarantine_within_deadline(backend: BackendResource) -> dg.AssetCheckResult:
    """Fail when an event that cannot be decoded stays unread for too long."""
    with backend.engine(Role.READ).connect() as conn:
        overdue = [
            event
            for event in health.quarantined(conn)
            if older_than(event.first_seen_at, QUARANTINE_LIMIT)
        ]
    return dg.AssetCheckResult(
        passed=not overdue,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(overdue)} events in quarantine for over {QUARANTINE_LIMIT}",
        metadata={
            "Quarantined events": metadata.table(
                metadata.rows(overdue, "signature", "log_index", "slot", "quarantine_reason")
            )
        },
    )


@dg.asset_check(
    asset=_EVENT_LEDGER,
    name="latency_within_limit",
    description="The median transaction of the last hour was in the ledger within ten seconds of "
    "its block, by webhook or by the confirmed poll.",
)
def latency_within_limit(backend: BackendResource) -> dg.AssetCheckResult:
    """Warn only: nothing is wrong or lost, it only arrives late."""
    with backend.engine(Role.READ).connect() as conn:
        hour = next(iter(latencies(conn, seconds=_HOUR, piece=_WHOLE_PERIOD)), None)
    median = 0.0 if hour is None else hour.median
    return dg.AssetCheckResult(
        passed=median <= LATENCY_LIMIT,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{median:.1f} s from block to row in the median of the last hour"
        if hour is not None
        else "nothing arrived by webhook or poll in the last hour",
        metadata={
            "Transactions": 0 if hour is None else hour.transactions,
            "Median latency (seconds)": round(median, 3),
            "Largest latency (seconds)": 0.0 if hour is None else round(hour.worst, 3),
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
        found = breakers.breaker_statuses(conn)
    return breaker_result([row for row in found if row.name.startswith("rpc:")])


@dg.asset_check(
    asset=_COVERAGE,
    name="lag_within_limit",
    description="The ledger is not behind the chain, at confirmed or at finalized, by more than "
    "the thresholds of health, and was not within the last ten minutes.",
)
def lag_within_limit(backend: BackendResource) -> dg.AssetCheckResult:
    """Compare with the chain, and with the pauses between windows: this run may have caught up."""
    tips = read_tips(backend.rpc)
    with backend.engine(Role.READ).connect() as conn:
        return lag_result(conn, backend.settings, tips)


def lag_result(
    conn: Connection, settings: Settings, tips: ChainTips, now: datetime | None = None
) -> dg.AssetCheckResult:
    """Return a warning for what is degraded, and an error for what is down, as of ``now``."""
    pause = work_health.longest_pause(
        conn, finalized_window_job.name, start=START, seconds=LAG_HISTORY.total_seconds(), now=now
    )
    limit = settings.health_finalized_lag_seconds
    found = health_of_services(conn, settings, tips=tips, now=now)["event-indexer"].quantities
    # A reader that never ran has no lag; that its job is overdue is another quantity.
    lags = [
        one for one in found if one.name in LAGS and (one.since is not None or one.unit == "slots")
    ]
    states = [one.state for one in lags] + [judge(pause.total_seconds(), limit)]
    return dg.AssetCheckResult(
        passed="down" not in states and "degraded" not in states,
        severity=dg.AssetCheckSeverity.ERROR if "down" in states else dg.AssetCheckSeverity.WARN,
        description="; ".join(f"{one.name} {one.value}: {one.cause}" for one in lags)
        + f"; longest pause between two windows: {pause.total_seconds():.0f} s",
        metadata={
            **{one.name: one.value for one in lags if one.value is not None},
            "longest pause (seconds)": round(pause.total_seconds(), 3),
        },
    )


finalized_window_job = asset_job(
    "read_finalized_window",
    "chain/event_ledger",
    "chain/coverage",
    # Those that only read small tables; the other checks run with reconcile.
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
    "Every minute: reads what has been finalized and extends the proof of completeness.",
)
