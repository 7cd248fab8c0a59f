"""The sensors that start submission runs: a tally has passed, a window has run out.

They look at the tables and at the chain's clock, which is cheap and may be early; the run
decides, from accounts at finalized. One run serves all that is due. What was asked for a
moment ago is not asked for again: when tables and chain disagree for a while, that must not
end in a run every five seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from assets.jobs import aggregate_votes, finalize_markets
from assets.resources import Backend, BackendResource
from assets.sensors.ticks import (
    INTERVAL,
    SUBMISSION_ABANDONED_AFTER,
    Tick,
    in_flight,
    patient,
)
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions.plan import Due, due

# Seconds after which the same work is asked for again.
REPEAT_AFTER = 30.0


def _look(backend: Backend) -> Due:
    chain_time = backend.rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).connect() as conn:
        return due(conn, backend.settings, chain_time=chain_time)


def _cursor(text: str | None) -> Mapping[str, Any]:
    """The last request; a cursor that is not ours counts as none."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def request(
    context: dg.SensorEvaluationContext, job: str, work: Mapping[str, Collection[str]], now: float
) -> Tick:
    """One run of ``job`` for ``work`` (names by kind), unless there is none or one is under way.

    :param now: seconds of the clock that paces repeated requests.
    """
    what = {kind: sorted(names) for kind, names in sorted(work.items()) if names}
    if not what:
        return dg.SkipReason("Nothing is due.")
    if in_flight(context.instance, job, SUBMISSION_ABANDONED_AFTER):
        return dg.SkipReason(f"A run of {job} is already under way.")
    last = _cursor(context.cursor)
    since = now - float(last.get("at", 0.0))
    if last.get("what") == what and 0 <= since < REPEAT_AFTER:
        return dg.SkipReason(f"The same was asked for {since:.0f} s ago.")
    tags = {f"zmart/{kind}": str(len(names)) for kind, names in what.items()}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags=tags)], cursor=json.dumps({"what": what, "at": now})
    )


@dg.sensor(
    name="tally_sensor",
    job=aggregate_votes,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts aggregate_votes as soon as a proposal's ballots pass the threshold, or "
    "an aggregated proposal waits for its approval.",
)
@patient("vote-aggregator")
def tally_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for a run when votes are due to go on chain."""
    found = _look(backend)
    work = {
        "markets": [market.hex() for market in found.aggregations],
    }
    return request(context, aggregate_votes.name, work, time.time())


@dg.sensor(
    name="window_sensor",
    job=finalize_markets,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts finalize_markets when a dispute window or a dispute vote has run out.",
)
@patient("market-monitor")
def window_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for a run when markets are due to be finalized."""
    found = _look(backend)
    work = {
        "markets": [market.hex() for market in found.finalizations],
    }
    return request(context, finalize_markets.name, work, time.time())


SENSORS = [tally_sensor, window_sensor]
