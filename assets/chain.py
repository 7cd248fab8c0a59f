"""Group ``chain``: the ledger as read from Solana, and the proof that it is complete.

Reading and ingesting are ``zmart_pipelines.ledger``; the confirmed poll runs in its sensor.
"""

import time
from collections import Counter
from collections.abc import Iterator

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from assets import metadata
from assets.asset_specs import asset_spec
from assets.resources import BackendResource
from assets.sensors.sensor_ticks import explain
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.readers.deliveries import pending_deliveries, process_delivery
from zmart_pipelines.ledger.readers.poll import read_finalized_window
from zmart_pipelines.monitoring.heartbeats import beat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.queries.committed_changes import ledger_version, newest
from zmart_pipelines.store.stream import announce
from zmart_pipelines.store.tables import chain as tables

# Deliveries of one run; the sensor asks for another run for the rest.
MOST_DELIVERIES = 1000

_EVENT_LEDGER = dg.AssetKey(["chain", "event_ledger"])
_COVERAGE = dg.AssetKey(["chain", "coverage"])


@dg.multi_asset(
    name="deliveries",
    specs=[
        asset_spec(
            "chain/deliveries",
            table=tables.deliveries,
            kinds=["solana"],
            description="Webhook requests as received, committed before anything is made of "
            "them. The API ingests them at once; what it left open is finished here.",
        )
    ],
)
def deliveries(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Finish what is open. One delivery that fails does not hold up the others."""
    engine = backend.engine(Role.INGEST)
    with engine.connect() as conn:
        waiting = pending_deliveries(conn, MOST_DELIVERIES)
    result = IngestResult()
    outcomes: Counter[str] = Counter()
    errors: list[str] = []
    for delivery in waiting:
        try:
            processed = process_delivery(engine, delivery, program=backend.settings.program)
        except SQLAlchemyError as error:
            errors.append(f"delivery {delivery}: {explain(error)}")
            context.log.error(errors[-1])
            continue
        outcomes["complete" if processed.complete else "unreadable"] += 1
        result = result.merge(processed.result)
        announce(backend.settings.redis_url.get_secret_value(), processed.result.positions)
    if errors:
        raise dg.Failure(
            f"{len(errors)} of {len(waiting)} deliveries could not be ingested",
            metadata={"errors": dg.MetadataValue.md("\n".join(f"- {e}" for e in errors[:20]))},
        )
    return dg.MaterializeResult(
        asset_key=["chain", "deliveries"],
        metadata={
            "deliveries": len(waiting),
            "outcomes": metadata.counts(outcomes),
            **ingested(result),
        },
    )


def ingested(result: IngestResult) -> dict[str, dg.MetadataValue]:
    """What an intake changed, as numbers that the UI plots."""
    return {
        name: dg.MetadataValue.int(number)
        for name, number in {
            "new transactions": result.new_transactions,
            "new events": result.new_events,
            "quarantined": result.quarantined,
            "promoted": result.promoted,
            "orphaned": result.orphaned,
            "markets changed": len(result.markets),
        }.items()
    }


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
        ),
        asset_spec(
            "chain/coverage",
            table=tables.coverage,
            kinds=["solana"],
            deps=["chain/event_ledger"],
            description="The slot ranges read completely at finalized. One range without a hole "
            "proves that the ledger misses nothing between its ends.",
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
            **ingested(report.result),
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


ASSETS = [deliveries, finalized_window]
