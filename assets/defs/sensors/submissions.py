"""The sensors that start submission runs: a tally passes, a window ends, a resolution is pending.

They read the tables and the chain's clock, which is cheap and may be early; the run decides, from
accounts at finalized. One run serves everything that is due.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import dagster as dg

from assets.defs.operators import resolve_market_job
from assets.defs.submissions import aggregate_votes_job, finalize_markets_job
from assets.resources import Backend, BackendResource
from assets.run_requests import request_run
from assets.runs_in_flight import SUBMISSION_ABANDONED_AFTER
from assets.sensor_ticks import PROMPT_INTERVAL, ROUTINE_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions.due_markets import pending_markets, scan_due_markets
from zmart_pipelines.submissions.statuses import PROPOSAL_ACTIONS, Action


def _due_markets(backend: Backend, actions: Collection[Action]) -> tuple[bytes, ...]:
    chain_time = backend.sensor_rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).begin() as conn:
        due = scan_due_markets(
            conn, backend.settings, actions=actions, chain_time=chain_time, scanner="sensor"
        )
    return due.to_run


@dg.sensor(
    name="tally_sensor",
    job=aggregate_votes_job,
    minimum_interval_seconds=PROMPT_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts aggregate_votes as soon as a proposal's ballots reach the threshold, or "
    "when an aggregated proposal is waiting for its approval.",
)
@skip_on_outage("vote-aggregator")
def tally_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request a run when proposals are due to be aggregated, approved or activated."""
    due = _due_markets(backend, PROPOSAL_ACTIONS)
    return request_run(
        context, aggregate_votes_job.name, due, time.time(), SUBMISSION_ABANDONED_AFTER
    )


@dg.sensor(
    name="window_sensor",
    job=finalize_markets_job,
    minimum_interval_seconds=PROMPT_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts finalize_markets when a dispute window or a dispute vote has ended.",
)
@skip_on_outage("market-monitor")
def window_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request a run when markets are due to be finalized."""
    due = _due_markets(backend, {"finalize_market"})
    return request_run(
        context, finalize_markets_job.name, due, time.time(), SUBMISSION_ABANDONED_AFTER
    )


@dg.sensor(
    name="resolution_sensor",
    job=resolve_market_job,
    minimum_interval_seconds=ROUTINE_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts resolve_market when an operator's resolution is still open because the "
    "run that was driving it has ended.",
)
@skip_on_outage()
def resolution_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request a run when a resolution is pending."""
    with backend.engine(Role.PIPELINES).connect() as conn:
        due = pending_markets(conn, "resolve_market")
    return request_run(
        context, resolve_market_job.name, due, time.time(), SUBMISSION_ABANDONED_AFTER
    )
