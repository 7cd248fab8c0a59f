"""Group ``submissions``: what the backend owes the chain, one asset per action.

Materializing one decides what is due (``plan``) and drives every open attempt to a verdict
(``drive``). Doing so twice, or in two runs at once, is harmless: the intent is unique, the
lease lets one submitter write, and the database allows one live attempt per market.

No RetryPolicy may ever hang on these assets: under one, Terminate re-enters the body.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg

from assets import metadata
from assets.resources import Backend, BackendResource
from assets.spec import asset_spec
from zmart_pipelines.monitoring.heartbeats import beat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import attempts
from zmart_pipelines.submissions import plan, shell
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.shell import DriveReport, Outcome
from zmart_pipelines.submissions.signers import load_signers
from zmart_pipelines.submissions.states import Action

# Seconds: between two tries for the lease, and how much longer than a lease they go on.
LEASE_PAUSE = 1.0
LEASE_MARGIN = 15.0

_PROPOSALS: dict[Action, dg.AssetKey] = {
    "aggregate_proposal_votes": dg.AssetKey(["submissions", "proposal_aggregations"]),
    "approve_proposal": dg.AssetKey(["submissions", "proposal_approvals"]),
}
_FINALIZATIONS = dg.AssetKey(["submissions", "market_finalizations"])


def _row(outcome: Outcome) -> dict[str, object]:
    return {
        "market_id": outcome.market_id,
        "action": outcome.action,
        "status": outcome.status,
        "slot": outcome.slot,
        "fee": outcome.fee,
        "compute_units": outcome.compute_units,
        "bundle_cid": outcome.bundle_cid,
        "signature": outcome.signatures[-1] if outcome.signatures else None,
        "reason": outcome.reason,
    }


def _result(
    backend: Backend,
    key: dg.AssetKey,
    action: Action,
    created: Sequence[Intent],
    report: DriveReport,
) -> dg.MaterializeResult[None]:
    """What the run did for one action; attempts of other actions belong to other assets."""
    outcomes = [outcome for outcome in report.outcomes if outcome.action == action]
    signatures = [signature for outcome in outcomes for signature in outcome.signatures]
    by_status = Counter(str(outcome.status) for outcome in outcomes)
    return dg.MaterializeResult(
        asset_key=key,
        metadata={
            "intents driven": len(outcomes),
            "intents created": sum(intent.action == action for intent in created),
            "intents by status": metadata.counts(by_status),
            "markets final": by_status["final"],
            "signatures": metadata.links(backend.settings, signatures),
            "fees in lamports": sum(outcome.fee or 0 for outcome in outcomes),
            "compute units": sum(outcome.compute_units or 0 for outcome in outcomes),
            "seconds": round(report.seconds, 3),
            "refused": report.refused or "no",
            "outcomes": metadata.table([_row(outcome) for outcome in outcomes]),
        },
    )


def _drive(
    context: dg.AssetExecutionContext, backend: Backend, actions: set[Action]
) -> tuple[list[Intent], DriveReport]:
    """Decide what is due and drive it; waits while another run holds the lease.

    A worker that was killed leaves its lease behind, for as long as leases last.
    """
    settings = backend.settings
    engine = backend.engine(Role.PIPELINES)
    signers = load_signers(settings)
    created = plan.plan(engine, backend.reader, settings)
    patience = time.monotonic() + settings.submission_lease_seconds + LEASE_MARGIN
    while True:
        report = shell.drive(
            engine,
            backend.rpc,
            backend.reader,
            signers,
            settings,
            actions=actions,
            run_id=context.run.run_id,
        )
        if report.epoch is not None or time.monotonic() > patience:
            break
        time.sleep(LEASE_PAUSE)
    if report.refused:
        context.log.warning("Not everything was driven: %s", report.refused)
    for outcome in report.outcomes:
        context.log.info(
            "%s of market %s is %s%s",
            outcome.action,
            outcome.market_id.hex(),
            outcome.status,
            f": {outcome.reason}" if outcome.reason else "",
        )
    return created, report


def _beat(backend: Backend, service: str, report: DriveReport) -> None:
    with backend.engine(Role.PIPELINES).begin() as conn:
        beat(conn, service, {"driven": len(report.outcomes)}, error=report.refused)


@dg.multi_asset(
    name="proposal_submissions",
    can_subset=True,
    specs=[
        asset_spec(
            "submissions/proposal_aggregations",
            table=attempts,
            kinds=["solana"],
            deps=["voting/proposal_tallies", "market/state"],
            description="Proposals whose ballots passed the chain's threshold: the tally is "
            "frozen, its ballots are pinned, and aggregate_proposal_votes is sent with the counts.",
        ),
        asset_spec(
            "submissions/proposal_approvals",
            table=attempts,
            kinds=["solana"],
            deps=["submissions/proposal_aggregations"],
            description="Aggregated proposals: approve_proposal is sent with the admin's key; "
            "without that key an alert asks the admin.",
        ),
    ],
)
def proposal_submissions(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Submit the counts of the proposals that passed, then approve them, in one drive."""
    selected = {
        action: key for action, key in _PROPOSALS.items() if key in context.selected_asset_keys
    }
    created, report = _drive(context, backend, set(selected))
    _beat(backend, "vote-aggregator", report)
    for action, key in selected.items():
        yield _result(backend, key, action, created, report)


@dg.multi_asset(
    name="market_finalizations",
    specs=[
        asset_spec(
            "submissions/market_finalizations",
            table=attempts,
            kinds=["solana"],
            deps=["voting/dispute_tallies", "market/state"],
            description="Markets whose dispute window or dispute vote has run out: "
            "finalize_market is sent, with the dispute's counts where there was one.",
        )
    ],
)
def market_finalizations(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Finalize the markets that are due."""
    created, report = _drive(context, backend, {"finalize_market"})
    _beat(backend, "market-monitor", report)
    return _result(backend, _FINALIZATIONS, "finalize_market", created, report)


ASSETS = [proposal_submissions, market_finalizations]
