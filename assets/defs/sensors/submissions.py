"""The sensor that starts submission runs: a tally passes, a window ends, a resolution is pending.

It reads the tables and the chain's clock, which is cheap and may be early; the run decides, from
accounts at finalized. One run serves everything that is due.
"""

from __future__ import annotations

import time

import dagster as dg

from assets.catalog import OWNERS
from assets.defs.operators import resolve_market_job
from assets.defs.submissions import aggregate_votes_job, finalize_markets_job
from assets.resources import Backend, BackendResource
from assets.run_requests import request_runs
from assets.runs_in_flight import SUBMISSION_ABANDONED_AFTER
from assets.sensor_ticks import PROMPT_INTERVAL, Tick, skip_on_outage
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions.due_markets import pending_markets, scan_due_markets
from zmart_pipelines.submissions.statuses import PROPOSAL_ACTIONS


def _due_markets(backend: Backend) -> dict[str, tuple[bytes, ...]]:
    """Return the markets that are due, by the job that serves them."""
    settings = backend.settings
    chain_time = backend.sensor_rpc.chain_clock("finalized").unix_timestamp
    with backend.engine(Role.PIPELINES).begin() as conn:
        proposals = scan_due_markets(
            conn, settings, actions=PROPOSAL_ACTIONS, chain_time=chain_time, scanner="sensor"
        )
        windows = scan_due_markets(
            conn, settings, actions={"finalize_market"}, chain_time=chain_time, scanner="sensor"
        )
        resolutions = pending_markets(conn, "resolve_market")
    return {
        aggregate_votes_job.name: proposals.to_run,
        finalize_markets_job.name: windows.to_run,
        resolve_market_job.name: resolutions,
    }


@dg.sensor(
    owners=OWNERS,
    name="submission_sensor",
    jobs=[aggregate_votes_job, finalize_markets_job, resolve_market_job],
    minimum_interval_seconds=PROMPT_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts aggregate_votes as soon as a proposal's ballots reach the threshold or an "
    "aggregated proposal is waiting for its approval, finalize_markets when a dispute window or a "
    "dispute vote has ended, and resolve_market when an operator's resolution is still open "
    "because the run that was driving it has ended.",
)
@skip_on_outage("vote-aggregator", "market-monitor")
def submission_sensor(context: dg.SensorEvaluationContext, backend: BackendResource) -> Tick:
    """Request a run of each job for which markets are due."""
    return request_runs(context, _due_markets(backend), time.time(), SUBMISSION_ABANDONED_AFTER)
