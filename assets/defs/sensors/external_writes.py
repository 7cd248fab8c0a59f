"""The sensor through which Dagster sees what it did not do itself.

Webhooks, the poll and the API write without any run. This sensor reads what they committed
since its last look and reports materializations of the same assets, so that the catalogue
shows the newest rows, whoever wrote them. While nothing happens on the chain it reports every
five minutes that the tables are still right, as long as somebody looks at the chain: that is
what their freshness means.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import msgspec
from sqlalchemy import Connection

from assets import metadata
from assets.asset_specs import inputs_of
from assets.dagster_internals import version_tags
from assets.defs import markets, statistics
from assets.resources import BackendResource
from assets.sensor_ticks import INTERVAL, Tick, patient
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles, committed_changes
from zmart_pipelines.store.queries.committed_changes import Observation
from zmart_pipelines.store.queries.markets import chain_now

_LEDGER = "chain/event_ledger"

# Which events add rows to which table. Any event of a market moves the market's state.
TRADES = {"SharesBought", "SharesSold"}
CLAIMS = {"WinningsClaimed"}

# Seconds without news after which the tables are reported as still right, and seconds within
# which somebody must have looked at the chain for that.
STILL = 300.0
LOOKED_AT = 60.0


class Looked(msgspec.Struct, frozen=True):
    """The cursor: the transaction id up to which was looked, and when the tables that move
    with the ledger were last reported (Unix seconds)."""

    until: int = 0
    reported_at: float = 0.0

    @classmethod
    def of(cls, cursor: str | None) -> Looked:
        """The cursor read back; one that is not ours begins anew (at worst a report twice)."""
        try:
            return msgspec.json.decode(cursor or "", type=cls)
        except msgspec.MsgspecError:
            return cls()


def _count(observation: Observation, names: set[str]) -> int:
    return sum(observation.events.get(name, 0) for name in names)


def _of_chain(seen: Observation, settings: Settings) -> dict[str, dg.MetadataValue]:
    values: dict[str, dg.MetadataValue] = {
        "signatures": metadata.links(settings, seen.signatures),
    }
    if seen.slot is not None:
        values["slot"] = dg.MetadataValue.int(seen.slot)
    if seen.block_time is not None:
        values["block time"] = dg.MetadataValue.timestamp(float(seen.block_time))
        values["lag in seconds"] = dg.MetadataValue.float(
            round(max(0.0, time.time() - seen.block_time), 3)
        )
    if seen.latency is not None:
        values["block to row in seconds"] = dg.MetadataValue.float(round(seen.latency, 3))
    return values


def materializations(seen: Observation, settings: Settings) -> Iterator[dg.AssetMaterialization]:
    """The assets that these rows belong to, each with its counts."""
    chain = _of_chain(seen, settings)
    events = sum(seen.events.values())

    def of(key: str, rows: int, **extra: Any) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            asset_key=key.split("/"),
            tags=_tags(key, seen.ledger),
            metadata={"reported by": "external_writes_sensor", "new rows": rows, **extra},
        )

    if seen.deliveries:
        yield of("chain/deliveries", seen.deliveries, transactions=seen.transactions, **chain)
    if seen.transactions:
        yield of(
            _LEDGER,
            events,
            transactions=seen.transactions,
            failed=seen.failed,
            **{"events by type": metadata.counts(seen.events)},
            **chain,
        )
    if seen.markets:
        # All four move with the ledger in one transaction, also those without a new row.
        yield of("market/state", seen.markets, events=events, **chain)
        yield of("market/trades", _count(seen, TRADES), **chain)
        yield of("market/positions", _count(seen, TRADES | CLAIMS), **chain)
        yield of("market/claims", _count(seen, CLAIMS), **chain)
    for kind, rows in seen.ballots.items():
        yield of(f"voting/{kind}_tallies", rows)


def _tags(key: str, ledger: str) -> dict[str, str] | None:
    if key == _LEDGER:
        return version_tags(ledger, {})
    if key.startswith("market/"):
        return version_tags(ledger, {_LEDGER: ledger})
    return None


def still_right(conn: Connection) -> Iterator[dg.AssetMaterialization]:
    """The tables that are right though nothing was written: nothing if nobody looks."""
    standing = committed_changes.standing(conn)
    if standing is None or standing.age > LOOKED_AT:
        return
    computed = [] if candles.due(conn, chain_now(conn)) else statistics.SPECS
    for spec in (*markets.SPECS, *computed):
        yield dg.AssetMaterialization(
            asset_key=spec.key,
            tags=version_tags(standing.ledger, dict.fromkeys(inputs_of(spec), standing.ledger)),
            metadata={
                "reported by": "external_writes_sensor",
                "new rows": 0,
                "right up to slot": standing.confirmed_slot,
                "seconds since the last look": round(standing.age, 3),
            },
        )


@dg.sensor(
    name="external_writes_sensor",
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports rows that webhooks, the poll and the API have written since its last "
    "look as materializations of the assets they belong to, and every five minutes without any "
    "that the tables are still right. Starts no run.",
)
@patient(None)
def external_writes_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Report what is new, or that nothing is, and move the cursor."""
    last = Looked.of(context.cursor)
    now = time.time()
    with backend.engine(Role.READ).connect() as conn:
        seen = committed_changes.observe(conn, last.until)
        found = list(materializations(seen, backend.settings)) if seen else []
        told = bool(seen.markets)
        if not told and now - last.reported_at >= STILL:
            still = list(still_right(conn))
            found += still
            told = bool(still)
    cursor = msgspec.json.encode(Looked(seen.until, now if told else last.reported_at)).decode()
    if not found:
        return dg.SensorResult(skip_reason=dg.SkipReason("Nothing new."), cursor=cursor)
    return dg.SensorResult(asset_events=found, cursor=cursor)
