"""Jobs over the assets: what runs together, and with which limits.

All of them run in one process (``Definitions`` sets the executor): a process for each step
would cost a second and a second's CPU more. None has a RetryPolicy: Terminate re-enters a
body under one, and a body here may be sending transactions.
"""

from __future__ import annotations

import dagster as dg

SUBMISSION_TAGS = {
    # A submission run drives its attempts for 90 s at most; past twice that it hangs.
    "dagster/max_runtime": "180",
    # Before reading, counting and checking, when the queue is full.
    "dagster/priority": "10",
}

# Of a run over one range of slots, at most.
BACKFILL_SECONDS = 6 * 3600


def _keys(*keys: str) -> dg.AssetSelection:
    """The assets without their checks: a fast run must not wait for them."""
    return dg.AssetSelection.assets(*[key.split("/") for key in keys]).without_checks()


process_deliveries = dg.define_asset_job(
    "process_deliveries",
    selection=_keys("chain/deliveries"),
    description="Ingests webhook deliveries that the API has stored but not finished.",
)

# Those that cost no more than a look at small tables; the rest waits for ``reconcile``.
_PROOFS = dg.AssetSelection.checks(
    dg.AssetCheckKey(dg.AssetKey(["chain", "coverage"]), "no_hole"),
    dg.AssetCheckKey(dg.AssetKey(["chain", "coverage"]), "nothing_stopped"),
    dg.AssetCheckKey(dg.AssetKey(["chain", "event_ledger"]), "no_old_quarantine"),
    dg.AssetCheckKey(dg.AssetKey(["chain", "event_ledger"]), "keeps_up"),
)

read_finalized_window = dg.define_asset_job(
    "read_finalized_window",
    selection=_keys("chain/event_ledger", "chain/coverage") | _PROOFS,
    description="Reads the next closed window at finalized and proves it complete.",
)

backfill_slots = dg.define_asset_job(
    "backfill_slots",
    selection=_keys("chain/backfill"),
    # A long range under the budget takes its time; what is read is kept if it is given up.
    tags={"dagster/max_runtime": str(BACKFILL_SECONDS)},
    description="Reads a range of slots that no poll has read, and covers it.",
)

rebuild_projection = dg.define_asset_job(
    "rebuild_projection",
    selection=_keys("market/state", "market/positions", "market/claims", "market/trades"),
    description="Drops and refolds the projection of some or all markets from the ledger.",
)

refresh_statistics = dg.define_asset_job(
    "refresh_statistics",
    selection=_keys("market/candles", "market/market_statistics", "market/wallet_statistics"),
    description="Makes candles and statistics of the markets that changed since theirs were made.",
)

aggregate_votes = dg.define_asset_job(
    "aggregate_votes",
    selection=_keys(
        "voting/proposal_tallies",
        "submissions/proposal_aggregations",
        "submissions/proposal_approvals",
        "submissions/market_activations",
    ),
    tags=SUBMISSION_TAGS,
    description="Counts proposals, submits those that passed, then approves them, and activates "
    "them where that is asked for.",
)

resolve_market = dg.define_asset_job(
    "resolve_market",
    selection=_keys("submissions/market_resolutions"),
    tags=SUBMISSION_TAGS,
    description="By operators: resolves the market of the launchpad's config; without a config "
    "it goes on with resolutions that are not final yet.",
)

switch_submissions = dg.define_asset_job(
    "switch_submissions",
    selection=_keys("submissions/switches"),
    description="By operators: shows the kill switches, or sets the one of the launchpad's config.",
)

prepare_admin_transaction = dg.define_asset_job(
    "prepare_admin_transaction",
    selection=_keys("submissions/admin_transactions"),
    description="By operators: prepares what only the admin may sign; without a config every "
    "approval that is waited for.",
)

finalize_markets = dg.define_asset_job(
    "finalize_markets",
    selection=_keys("voting/dispute_tallies", "submissions/market_finalizations"),
    tags=SUBMISSION_TAGS,
    description="Finalizes markets whose dispute window or dispute vote has run out.",
)

reconcile = dg.define_asset_job(
    "reconcile",
    selection=_keys("reconciliation/report", "reconciliation/repairs")
    | dg.AssetSelection.all_asset_checks(),
    description="Compares the projection with the chain's accounts, reads again what differs, "
    "and runs every data check.",
)

repair_markets = dg.define_asset_job(
    "repair_markets",
    selection=_keys("reconciliation/repairs"),
    description="Reads the transactions of markets again and folds them anew.",
)

redecode_quarantined = dg.define_asset_job(
    "redecode_quarantined",
    selection=_keys("chain/quarantine"),
    description="Decodes event lines in quarantine again, after a fix of the decoder.",
)

# Their runs may succeed with a check that fails.
CHECKING = (read_finalized_window.name, reconcile.name)

ASSET_JOBS = [
    process_deliveries,
    read_finalized_window,
    backfill_slots,
    rebuild_projection,
    refresh_statistics,
    aggregate_votes,
    finalize_markets,
    resolve_market,
    switch_submissions,
    prepare_admin_transaction,
    reconcile,
    repair_markets,
    redecode_quarantined,
]
