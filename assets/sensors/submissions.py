"""The sensors that start submission runs: a tally has passed, a window has run out.

They look at the tables and at the chain's clock, which is cheap and may be early; the run
decides, from accounts at finalized. One run serves all that is due. What was asked for a
moment ago is not asked for again: when tables and chain disagree for a while, that must not
end in a run every five seconds.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from hashlib import sha256

import dagster as dg
import msgspec

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
    chain_time = backend.glance.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).connect() as conn:
        return due(conn, backend.settings, chain_time=chain_time)


class Asked(msgspec.Struct):
    """The cursor: a digest of what was asked for last, and when (seconds)."""

    what: str
    at: float

    @classmethod
    def of(cls, cursor: str | None) -> Asked:
        """The cursor read back; one that is not ours counts as nothing asked for."""
        try:
            return msgspec.json.decode(cursor or "", type=cls)
        except msgspec.MsgspecError:
            return cls("", 0.0)


def request(
    context: dg.SensorEvaluationContext, job: str, markets: Collection[bytes], now: float
) -> Tick:
    """One run of ``job`` for these markets, unless there is none or one is under way.

    :param now: seconds of the clock that paces repeated requests.
    """
    if not markets:
        return dg.SkipReason("Nothing is due.")
    if in_flight(context.instance, job, SUBMISSION_ABANDONED_AFTER):
        return dg.SkipReason(f"A run of {job} is already under way.")
    last = Asked.of(context.cursor)
    what = sha256(b"".join(sorted(markets))).hexdigest()
    if last.what == what and 0 <= now - last.at < REPEAT_AFTER:
        return dg.SkipReason(f"The same was asked for {now - last.at:.0f} s ago.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags={"zmart/markets": str(len(markets))})],
        cursor=msgspec.json.encode(Asked(what, now)).decode(),
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
    return request(context, aggregate_votes.name, found.aggregations, time.time())


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
    return request(context, finalize_markets.name, found.finalizations, time.time())


SENSORS = [tally_sensor, window_sensor]
