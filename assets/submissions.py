"""Group ``submissions``: what the backend owes the chain, one asset per action.

Materializing one decides what is due (``plan``) and drives every open attempt to a verdict
(``drive``). Doing so twice, or in two runs at once, is harmless: the intent is unique, the
lease lets one submitter write, and the database allows one live attempt per market.

No RetryPolicy may ever hang on these assets: under one, Terminate re-enters the body.
"""

from collections.abc import Sequence

import dagster as dg

from assets import metadata
from assets.resources import Backend, BackendResource
from assets.spec import asset_spec
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import attempts
from zmart_pipelines.submissions import plan, shell
from zmart_pipelines.submissions.intents import Action, Intent
from zmart_pipelines.submissions.shell import DriveReport, Outcome
from zmart_pipelines.submissions.signers import load_signers


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
    backend: Backend, key: str, created: Sequence[Intent], report: DriveReport
) -> dg.MaterializeResult:
    outcomes = report.outcomes
    signatures = [signature for outcome in outcomes for signature in outcome.signatures]
    return dg.MaterializeResult(
        asset_key=key.split("/"),
        metadata={
            "intents created": len(created),
            "intents driven": len(outcomes),
            **{
                status: len(report.by_status(status))
                for status in ("final", "live", "planned", "failed", "superseded", "quarantined")
            },
            "signatures": metadata.links(backend.settings, signatures),
            "fees in lamports": sum(outcome.fee or 0 for outcome in outcomes),
            "compute units": sum(outcome.compute_units or 0 for outcome in outcomes),
            "seconds": report.seconds,
            "refused": report.refused or "no",
            "outcomes": metadata.table([_row(outcome) for outcome in outcomes]),
        },
    )


def _submit(
    context: dg.AssetExecutionContext, backend: Backend, key: str, action: Action
) -> dg.MaterializeResult:
    settings = backend.settings
    engine = backend.engine(Role.PIPELINES)
    signers = load_signers(settings)
    created = plan.plan(engine, backend.reader, settings)
    report = shell.drive(
        engine,
        backend.rpc,
        backend.reader,
        signers,
        settings,
        actions={action},
        run_id=context.run.run_id,
    )
    if report.refused:
        context.log.warning("Nothing was driven: %s", report.refused)
    for outcome in report.outcomes:
        context.log.info(
            "%s of market %s is %s%s",
            outcome.action,
            outcome.market_id.hex(),
            outcome.status,
            f": {outcome.reason}" if outcome.reason else "",
        )
    return _result(backend, key, created, report)


@dg.multi_asset(
    name="proposal_aggregations",
    specs=[
        asset_spec(
            "submissions/proposal_aggregations",
            table=attempts,
            kinds=["solana"],
            deps=["voting/proposal_tallies", "market/state"],
            description="Proposals whose ballots passed the chain's threshold: the tally is "
            "frozen, its ballots are pinned, and aggregate_proposal_votes is sent with the counts.",
        )
    ],
)
def proposal_aggregations(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult:
    """Submit the counts of the proposals that passed."""
    return _submit(
        context, backend, "submissions/proposal_aggregations", "aggregate_proposal_votes"
    )


@dg.multi_asset(
    name="proposal_approvals",
    specs=[
        asset_spec(
            "submissions/proposal_approvals",
            table=attempts,
            kinds=["solana"],
            deps=["submissions/proposal_aggregations"],
            description="Aggregated proposals: approve_proposal is sent with the admin's key; "
            "without that key an alert asks the admin.",
        )
    ],
)
def proposal_approvals(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult:
    """Approve the proposals whose counts are on chain."""
    return _submit(context, backend, "submissions/proposal_approvals", "approve_proposal")


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
) -> dg.MaterializeResult:
    """Finalize the markets that are due."""
    return _submit(context, backend, "submissions/market_finalizations", "finalize_market")


ASSETS = [proposal_aggregations, proposal_approvals, market_finalizations]
