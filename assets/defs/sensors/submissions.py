"""The sensors that start submission runs: a tally has passed, a window has run out.

They look at the tables and at the chain's clock, which is cheap and may be early; the run
decides, from accounts at finalized. One run serves all that is due.
"""

from __future__ import annotations

import time

import dagster as dg

from assets.defs.operators import resolve_market_job
from assets.defs.submissions import aggregate_votes_job, finalize_markets_job
from assets.resources import Backend, BackendResource
from assets.run_requests import request_run
from assets.runs_in_flight import SUBMISSION_ABANDONED_AFTER
from assets.sensor_ticks import INTERVAL, Tick, skip_on_outage
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions.candidates import Due, due, pending_resolutions


def _look(backend: Backend) -> Due:
    chain_time = backend.sensor_rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).begin() as conn:
        return due(conn, backend.settings, chain_time=chain_time)


@dg.sensor(
    name="tally_sensor",
    job=aggregate_votes_job,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts aggregate_votes as soon as a proposal's ballots pass the threshold, or "
    "an aggregated proposal waits for its approval.",
)
@skip_on_outage("vote-aggregator")
def tally_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for a run when votes are due to go on chain."""
    found = _look(backend)
    return request_run(
        context,
        aggregate_votes_job.name,
        found.aggregations,
        time.time(),
        SUBMISSION_ABANDONED_AFTER,
    )


@dg.sensor(
    name="window_sensor",
    job=finalize_markets_job,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts finalize_markets when a dispute window or a dispute vote has run out.",
)
@skip_on_outage("market-monitor")
def window_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for a run when markets are due to be finalized."""
    found = _look(backend)
    return request_run(
        context,
        finalize_markets_job.name,
        found.finalizations,
        time.time(),
        SUBMISSION_ABANDONED_AFTER,
    )


@dg.sensor(
    name="resolution_sensor",
    job=resolve_market_job,
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts resolve_market when a resolution that an operator asked for is not final "
    "and nothing drives it, because its run was ended.",
)
@skip_on_outage()
def resolution_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Ask for a run when a resolution waits."""
    with backend.engine(Role.PIPELINES).connect() as conn:
        found = pending_resolutions(conn)
    return request_run(
        context, resolve_market_job.name, found, time.time(), SUBMISSION_ABANDONED_AFTER
    )
