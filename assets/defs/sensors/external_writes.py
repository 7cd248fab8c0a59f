"""The sensor that reports what was written without a run.

Webhooks, the poll and the API write rows outside Dagster. This sensor reads what they committed
since its last tick and reports materializations of the same assets, so that the catalog shows the
newest rows, whoever wrote them. While nothing happens on the chain it reports every five minutes
an observation that the tables are still up to date, as long as the chain is being polled: that is
what the freshness of these assets means.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import dagster as dg
import msgspec
from sqlalchemy import Connection

from assets import metadata
from assets.asset_specs import inputs_of
from assets.catalog import OWNERS
from assets.dagster_internals import version_tags
from assets.defs import markets, statistics
from assets.defs.deliveries import DELIVERIES_VERSION
from assets.resources import BackendResource
from assets.sensor_ticks import LATER_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles, committed_changes
from zmart_pipelines.store.queries.committed_changes import CommittedChanges
from zmart_pipelines.store.queries.markets import chain_now

_DELIVERIES = "chain/deliveries"
_LEDGER = "chain/event_ledger"
# The version of an input that may never have been materialized; Dagster's name for that.
_NEVER = "INITIAL"

# Which events add rows to which table. Any event of a market changes the market's state.
TRADES = {"SharesBought", "SharesSold"}
CLAIMS = {"WinningsClaimed"}

# Seconds without a change after which the tables are reported as still up to date, and seconds
# within which the chain must have been polled for that.
UNCHANGED_INTERVAL = 300.0
MAX_POLL_AGE = 60.0

AssetEvent: TypeAlias = dg.AssetMaterialization | dg.AssetObservation


class ReportCursor(msgspec.Struct, frozen=True):
    """How far the sensor has reported.

    Attributes:
        until: Transaction id of Postgres up to which rows were reported.
        reported_at: Unix seconds at which the market tables were last reported.
        ledger: Version of the ledger that those reports named.
    """

    until: int = 0
    reported_at: float = 0.0
    ledger: str = ""

    @classmethod
    def decode(cls, cursor: str | None) -> ReportCursor:
        """Read a cursor back; a malformed one starts over (at worst a report is repeated)."""
        try:
            return msgspec.json.decode(cursor or "", type=cls)
        except msgspec.MsgspecError:
            return cls()

    def encode(self) -> str:
        """Return the cursor as Dagster stores it."""
        return msgspec.json.encode(self).decode()


def materializations(
    changes: CommittedChanges, settings: Settings, deliveries: str = DELIVERIES_VERSION
) -> Iterator[dg.AssetMaterialization]:
    """Yield a materialization of each asset that the changes belong to, with its counts.

    Args:
        changes: What was committed.
        settings: Name the cluster of the links.
        deliveries: Data version of chain/deliveries, the ledger's input.
    """
    chain = _chain_metadata(changes, settings)
    events = sum(changes.events.values())

    def of(key: str, rows: int, **extra: Any) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            asset_key=key.split("/"),
            tags=_version_tags(key, changes.ledger, deliveries),
            metadata={"Reported by": "external_writes_sensor", "New rows": rows, **extra},
        )

    if changes.deliveries:
        transactions = {"New transactions": changes.transactions}
        yield of(_DELIVERIES, changes.deliveries, **transactions, **chain)
    if changes.transactions:
        counts = {
            "New transactions": changes.transactions,
            "Failed transactions": changes.failed,
            "Events by type": metadata.counts(changes.events),
        }
        yield of(_LEDGER, events, **counts, **chain)
    if changes.markets:
        # All four change with the ledger in one transaction, also those without a new row.
        yield of("market/state", changes.markets, **{"New events": events}, **chain)
        yield of("market/trades", _count(changes, TRADES), **chain)
        yield of("market/positions", _count(changes, TRADES | CLAIMS), **chain)
        yield of("market/claims", _count(changes, CLAIMS), **chain)
    for kind, rows in changes.ballots.items():
        yield of(f"voting/{kind}_tallies", rows)


def _count(changes: CommittedChanges, names: set[str]) -> int:
    return sum(changes.events.get(name, 0) for name in names)


def _chain_metadata(changes: CommittedChanges, settings: Settings) -> dict[str, dg.MetadataValue]:
    values: dict[str, dg.MetadataValue] = {
        "Signatures": metadata.links(settings, changes.signatures),
    }
    if changes.slot is not None:
        values["Slot"] = dg.MetadataValue.int(changes.slot)
    if changes.block_time is not None:
        values["Block time"] = dg.MetadataValue.timestamp(float(changes.block_time))
        values["Seconds behind"] = dg.MetadataValue.float(
            round(max(0.0, time.time() - changes.block_time), 3)
        )
    if changes.latency is not None:
        values["Mean latency (seconds)"] = dg.MetadataValue.float(round(changes.latency, 3))
    return values


def _version_tags(key: str, ledger: str, deliveries: str) -> dict[str, str] | None:
    if key == _DELIVERIES:
        return version_tags(DELIVERIES_VERSION, {})
    if key == _LEDGER:
        return version_tags(ledger, {_DELIVERIES: deliveries})
    if key.startswith("market/"):
        return version_tags(ledger, {_LEDGER: ledger})
    return None


def unchanged_tables(conn: Connection, reported_ledger: str) -> tuple[list[AssetEvent], str]:
    """Return a report that the market tables are up to date though no row of them was written.

    It is an observation, which does not hide the last change. Only if the ledger moved without
    them (by an event of no market) it is a materialization, because nothing else can say that
    they include the newer version; otherwise they would be shown as out of date.

    Args:
        conn: Reads the tables.
        reported_ledger: Version of the ledger that the last report named.

    Returns:
        The events, none if the chain has not been polled lately, and the ledger's version.
    """
    polled = committed_changes.poll_status(conn)
    if polled is None or polled.age > MAX_POLL_AGE:
        return [], reported_ledger
    facts: dict[str, str | int | float] = {
        "Reported by": "external_writes_sensor",
        "Verified to slot": polled.confirmed_slot,
        "Seconds since last poll": round(polled.age, 3),
    }
    up_to_date = () if candles.markets_to_refresh(conn, chain_now(conn)) else statistics.SPECS
    found: list[AssetEvent] = []
    for spec in (*markets.SPECS, *up_to_date):
        if polled.ledger == reported_ledger:
            found.append(dg.AssetObservation(spec.key, metadata=facts))
        else:
            tags = version_tags(polled.ledger, dict.fromkeys(inputs_of(spec), polled.ledger))
            found.append(dg.AssetMaterialization(spec.key, tags=tags, metadata=facts))
    return found, polled.ledger


def _deliveries_version(instance: dg.DagsterInstance, changes: CommittedChanges) -> str:
    """Return the version of chain/deliveries once the changes are reported."""
    if changes.deliveries:
        return DELIVERIES_VERSION
    key = dg.AssetKey(_DELIVERIES.split("/"))
    return DELIVERIES_VERSION if instance.get_latest_materialization_event(key) else _NEVER


@dg.sensor(
    owners=OWNERS,
    name="external_writes_sensor",
    minimum_interval_seconds=LATER_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports rows that webhooks, the poll and the API have written since its last "
    "tick as materializations of their assets, and every five minutes without any an observation "
    "that the tables are up to date. Starts no run.",
)
@skip_on_outage()
def external_writes_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Report what was written, or that nothing was, and move the cursor."""
    last = ReportCursor.decode(context.cursor)
    now = time.time()
    reported_at, ledger = last.reported_at, last.ledger
    with backend.engine(Role.READ).connect() as conn:
        changes = committed_changes.changes_since(conn, last.until)
        found: list[AssetEvent] = []
        if changes:
            deliveries = _deliveries_version(context.instance, changes)
            found.extend(materializations(changes, backend.settings, deliveries))
        if changes.markets:
            reported_at, ledger = now, changes.ledger
        elif now - last.reported_at >= UNCHANGED_INTERVAL:
            unchanged, ledger = unchanged_tables(conn, last.ledger)
            found.extend(unchanged)
            reported_at = now if unchanged else last.reported_at
    cursor = ReportCursor(changes.until, reported_at, ledger).encode()
    if not found:
        return dg.SensorResult(skip_reason=dg.SkipReason("Nothing was written."), cursor=cursor)
    return dg.SensorResult(asset_events=found, cursor=cursor)
