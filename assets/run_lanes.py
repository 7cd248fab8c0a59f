"""Lanes of the run queue, so that no kind of work crowds out another.

Every run belongs to one lane, also one that is launched in the UI: the coordinator tags it when
it is enqueued. ``deploy/dagster.yaml`` limits each lane but the operators' to fewer slots than
there are, so that an operator's run starts within seconds whatever is queued.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from dagster import AssetKey, DagsterRun, QueuedRunCoordinator

from assets.dagster_internals import SubmitRunContext, coordinator_instance

LANE_TAG = "zmart/lane"
PRIORITY_TAG = "dagster/priority"


class Lane(StrEnum):
    """What a run is for."""

    OPERATORS = "operators"
    """What a person has just ordered: a switch, a resolution, an admin transaction."""
    CHAIN = "chain"
    """What the backend owes the chain: aggregations, approvals, finalizations."""
    BULK = "bulk"
    """What may take hours: backfills and rebuilds."""
    BACKGROUND = "background"
    """Everything else: finalized windows, statistics, reconciliation, maintenance."""


PRIORITIES: Mapping[Lane, int] = {
    Lane.OPERATORS: 100,
    Lane.CHAIN: 50,
    Lane.BACKGROUND: 0,
    Lane.BULK: -10,
}

# Added to the niceness of a run's process: a third of the CPU share of what others wait for.
NICENESS: Mapping[Lane, int] = {Lane.BACKGROUND: 5, Lane.BULK: 5}

# The lane of each job, by name; every job enters its own where it is defined.
LANES_BY_JOB: dict[str, Lane] = {}


def lane_tags(lane: Lane) -> dict[str, str]:
    """Return the tags that put a job's runs into a lane."""
    return {LANE_TAG: lane.value, PRIORITY_TAG: str(PRIORITIES[lane])}


class LaneRunCoordinator(QueuedRunCoordinator):
    """``QueuedRunCoordinator`` that tags each run with its lane when it is enqueued."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run, then enqueue it."""
        run = context.dagster_run
        missing = {
            key: value for key, value in lane_tags(lane_of(run)).items() if key not in run.tags
        }
        if missing:
            coordinator_instance(self).add_run_tags(run.run_id, missing)
        return super().submit_run(context)


def lane_of(run: DagsterRun) -> Lane:
    """Return the lane of a run: its job's, or for a selection of assets that of the assets."""
    named = run.tags.get(LANE_TAG)
    if named in set(Lane):
        return Lane(named)
    return lane_of_assets(run.asset_selection or ())


# By the beginning of the asset key; the longest match decides.
_LANES_BY_PREFIX: Mapping[tuple[str, ...], Lane] = {
    ("submissions", "market_resolutions"): Lane.OPERATORS,
    ("submissions", "switches"): Lane.OPERATORS,
    ("submissions", "admin_transactions"): Lane.OPERATORS,
    ("submissions", "orders"): Lane.OPERATORS,
    ("submissions",): Lane.CHAIN,
    # Counted in the runs that submit.
    ("voting",): Lane.CHAIN,
    ("chain", "backfill"): Lane.BULK,
}


def lane_of_assets(keys: Collection[AssetKey]) -> Lane:
    """Return the lane of a run over these assets, the most limited one where they differ."""
    lanes = {_lane_of_asset(key) for key in keys}
    return next(
        (lane for lane in (Lane.BULK, Lane.BACKGROUND, Lane.CHAIN) if lane in lanes),
        Lane.OPERATORS if lanes else Lane.BACKGROUND,
    )


def _lane_of_asset(key: AssetKey) -> Lane:
    path = tuple(key.path)
    lengths = range(len(path), 0, -1)
    return next(
        (_LANES_BY_PREFIX[path[:n]] for n in lengths if path[:n] in _LANES_BY_PREFIX),
        Lane.BACKGROUND,
    )
