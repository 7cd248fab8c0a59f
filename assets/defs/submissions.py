"""Group ``submissions``: the transactions that the backend sends, one asset per action.

Materializing an asset plans its own action only (``plan``) and drives its open intents, those of
operators, and every live attempt, to a verdict (``drive``). Doing so twice, or in two runs at
once, is harmless: the intent is unique, the lease lets one submitter write, and the database
allows one live attempt per market.

These assets must never have a RetryPolicy: with one, Terminate re-enters the body.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import dagster as dg
import msgspec

from assets import metadata
from assets.asset_checks import breaker_result, is_selected, older_than
from assets.asset_jobs import SUBMISSION_TAGS, asset_job, job_schedule
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.defs import voting
from assets.freshness import VerifiedWithin
from assets.resources import Backend, BackendResource
from zmart_pipelines.monitoring.heartbeats import record_heartbeat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import breakers
from zmart_pipelines.store.queries import submissions as stored
from zmart_pipelines.store.tables.ops import attempts
from zmart_pipelines.submissions import driver, planner, switches
from zmart_pipelines.submissions.due_markets import pending_markets
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.reports import DriveReport, IntentOutcome, intent_outcomes
from zmart_pipelines.submissions.signers import load_signers
from zmart_pipelines.submissions.statuses import Action

# What a person has ordered and waits for.
OPERATORS_ACTIONS: frozenset[Action] = frozenset({"resolve_market"})

# Seconds: between two attempts to acquire the lease, and how much longer than a lease to try.
LEASE_PAUSE = 1.0
LEASE_MARGIN = 15.0

_PROPOSALS: dict[Action, dg.AssetKey] = {
    "aggregate_proposal_votes": dg.AssetKey(["submissions", "proposal_aggregations"]),
    "approve_proposal": dg.AssetKey(["submissions", "proposal_approvals"]),
    "activate_market": dg.AssetKey(["submissions", "market_activations"]),
}
_FINALIZATIONS = dg.AssetKey(["submissions", "market_finalizations"])
_SUBMITTED: dict[Action, dg.AssetKey] = {
    **_PROPOSALS,
    "resolve_market": dg.AssetKey(["submissions", "market_resolutions"]),
    "finalize_market": _FINALIZATIONS,
}
INTENT_LIMIT = timedelta(minutes=10)


def _row(outcome: IntentOutcome) -> dict[str, object]:
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


def action_result(
    context: dg.AssetExecutionContext,
    backend: Backend,
    key: dg.AssetKey,
    action: Action,
    created: Sequence[Intent],
    report: DriveReport,
    more: Mapping[str, dg.MetadataValue | str] | None = None,
) -> Iterator[dg.MaterializeResult[None]]:
    """Yield what the run did for one action; other actions belong to other assets."""
    outcomes = [outcome for outcome in report.outcomes if outcome.action == action]
    signatures = [signature for outcome in outcomes for signature in outcome.signatures]
    by_status = Counter(str(outcome.status) for outcome in outcomes)
    cids = [outcome.bundle_cid for outcome in outcomes if outcome.bundle_cid is not None]
    with backend.engine(Role.READ).connect() as conn:
        disabled = action in switches.disabled_actions(conn, backend.settings)
    outcome_result = dg.MaterializeResult[None](
        asset_key=key,
        metadata={
            "Intents driven": len(outcomes),
            "Intents created": sum(intent.action == action for intent in created),
            "Intents by status": metadata.counts(by_status),
            "Intents final": by_status["final"],
            "Signatures": metadata.links(backend.settings, signatures),
            "Fees (lamports)": sum(outcome.fee or 0 for outcome in outcomes),
            "Compute units": sum(outcome.compute_units or 0 for outcome in outcomes),
            "Ballot bundles": metadata.texts(cids),
            "Disabled by kill switch": disabled,
            "Duration (seconds)": round(report.seconds, 3),
            "Refused": report.refused or "no",
            **(more or {}),
            "Outcomes": metadata.table([_row(outcome) for outcome in outcomes]),
        },
    )
    driven = bool(outcomes) or any(intent.action == action for intent in created)
    yield from record_result(context, outcome_result, changed=driven)


def plan_and_drive(
    context: dg.AssetExecutionContext, backend: Backend, actions: set[Action]
) -> tuple[list[Intent], DriveReport]:
    """Plan these actions and drive their intents."""
    created = planner.plan(
        backend.engine(Role.PIPELINES), backend.reader, backend.settings, actions=actions
    )
    return created, drive(context, backend, actions, created)


def drive(
    context: dg.AssetExecutionContext,
    backend: Backend,
    actions: set[Action],
    created: Sequence[Intent] = (),
) -> DriveReport:
    """Drive the open intents of ``actions`` and of operators; wait while another run does.

    One run holds the lease. Whichever it is, it drives the resolutions that operators request
    meanwhile, so that these do not wait for its end. The lease of a worker that was killed stays
    until it expires.

    Args:
        context: Of the asset.
        backend: Database and chain.
        actions: Those that the run is for.
        created: The intents that the run has planned; they are reported, whoever drove them.
    """
    deadline = time.monotonic() + backend.settings.submission_lease_seconds + LEASE_MARGIN
    report = _drive_once(context, backend, actions)
    while report.epoch is None and time.monotonic() < deadline:
        if not _any_pending(backend, actions):
            report = msgspec.structs.replace(report, refused=None)
            break
        time.sleep(LEASE_PAUSE)
        report = _drive_once(context, backend, actions)
    report = _with_created(backend, report, created)
    if report.refused:
        context.log.warning("Not every intent was driven: %s", report.refused)
    for outcome in report.outcomes:
        context.log.info(
            "%s of market %s is %s%s",
            outcome.action,
            outcome.market_id.hex(),
            outcome.status,
            f": {outcome.reason}" if outcome.reason else "",
        )
    return report


def _drive_once(
    context: dg.AssetExecutionContext, backend: Backend, actions: set[Action]
) -> DriveReport:
    return driver.drive(
        backend.engine(Role.PIPELINES),
        backend.rpc,
        backend.reader,
        load_signers(backend.settings),
        backend.settings,
        actions=actions | OPERATORS_ACTIONS,
        run_id=context.run.run_id,
    )


def _any_pending(backend: Backend, actions: set[Action]) -> bool:
    with backend.engine(Role.READ).connect() as conn:
        return any(pending_markets(conn, action) for action in actions)


def _with_created(backend: Backend, report: DriveReport, created: Sequence[Intent]) -> DriveReport:
    """Return the report with the outcomes of intents that another run has driven."""
    driven = {outcome.intent_id for outcome in report.outcomes}
    others = [intent.id for intent in created if intent.id not in driven]
    if not others:
        return report
    with backend.engine(Role.READ).connect() as conn:
        outcomes = intent_outcomes(conn, others)
    return msgspec.structs.replace(report, outcomes=(*report.outcomes, *outcomes))


def _beat(backend: Backend, service: str, report: DriveReport) -> None:
    with backend.engine(Role.PIPELINES).begin() as conn:
        record_heartbeat(conn, service, {"driven": len(report.outcomes)}, error=report.refused)


@dg.multi_asset(
    name="proposal_submissions",
    can_subset=True,
    specs=[
        *voting.PROPOSAL_TALLIES,
        asset_spec(
            "submissions/proposal_aggregations",
            table=attempts,
            kinds=["solana"],
            deps=["voting/proposal_tallies", "market/state"],
            description="Proposals whose ballots reach the chain's threshold: the tally is "
            "frozen, its ballots are pinned, and aggregate_proposal_votes is sent with the counts.",
            freshness=VerifiedWithin(warn=10, fail=20),
            skippable=True,
        ),
        asset_spec(
            "submissions/proposal_approvals",
            table=attempts,
            kinds=["solana"],
            deps=["submissions/proposal_aggregations"],
            description="Aggregated proposals: approve_proposal is sent with the admin's key; "
            "without that key, an alert asks the admin to sign.",
            freshness=VerifiedWithin(warn=10, fail=20),
            skippable=True,
        ),
        asset_spec(
            "submissions/market_activations",
            table=attempts,
            kinds=["solana"],
            deps=["submissions/proposal_approvals"],
            description="Approved markets: activate_market is sent with the admin's key where "
            "AUTO_ACTIVATE is set; otherwise the creators activate them and this stays empty.",
            freshness=VerifiedWithin(warn=10, fail=20),
            skippable=True,
        ),
    ],
)
def proposal_submissions(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Recount, submit the counts of due proposals, approve and activate markets, in one drive."""
    yield from voting.recount_proposals(context, backend)
    selected = {
        action: key for action, key in _PROPOSALS.items() if key in context.selected_asset_keys
    }
    if not selected:
        return
    created, report = plan_and_drive(context, backend, set(selected))
    _beat(backend, "vote-aggregator", report)
    for action, key in selected.items():
        yield from action_result(context, backend, key, action, created, report)


@dg.multi_asset(
    name="dispute_submissions",
    can_subset=True,
    specs=[
        *voting.DISPUTE_TALLIES,
        asset_spec(
            "submissions/market_finalizations",
            table=attempts,
            kinds=["solana"],
            deps=["voting/dispute_tallies", "market/state"],
            description="Markets whose dispute window or dispute vote has ended: "
            "finalize_market is sent, with the counts of the dispute if there was one.",
            freshness=VerifiedWithin(warn=10, fail=20),
            skippable=True,
        ),
    ],
)
def dispute_submissions(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Recount, then finalize the markets that are due."""
    yield from voting.recount_disputes(context, backend)
    if _FINALIZATIONS not in context.selected_asset_keys:
        return
    created, report = plan_and_drive(context, backend, {"finalize_market"})
    _beat(backend, "market-monitor", report)
    yield from action_result(context, backend, _FINALIZATIONS, "finalize_market", created, report)


@dg.multi_asset_check(
    name="intents_within_deadline",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "intents_within_deadline",
            asset=key,
            description="Every intent is final or given up ten minutes after its decision was due.",
        )
        for key in _SUBMITTED.values()
    ],
)
def intents_within_deadline(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """Warn of old open intents; their run or its alert says what is wrong."""
    with backend.engine(Role.READ).connect() as conn:
        overdue = [
            intent
            for intent in stored.open_intents(conn)
            if older_than(intent.due_at, INTENT_LIMIT)
        ]
    for action, key in _SUBMITTED.items():
        if not is_selected(context, key):
            continue
        late = [intent for intent in overdue if intent.action == action]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="intents_within_deadline",
            passed=not late,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(late)} intents have been open for more than {INTENT_LIMIT}",
            metadata={
                "Intents": metadata.table(
                    metadata.rows(
                        late, "id", "market_id", "status", "failures", "reason", "created_at"
                    )
                )
            },
        )


@dg.multi_asset_check(
    name="action_breakers_closed",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "action_breaker_closed",
            asset=key,
            description="The action's circuit breaker is not open after failures.",
        )
        for key in _SUBMITTED.values()
    ],
)
def action_breakers_closed(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """Warn only: an alert follows after five minutes."""
    with backend.engine(Role.READ).connect() as conn:
        found = breakers.breaker_statuses(conn)
    for action, key in _SUBMITTED.items():
        if is_selected(context, key):
            own = [row for row in found if row.name == f"action:{action}"]
            yield breaker_result(own, key, "action_breaker_closed")


aggregate_votes_job = asset_job(
    "aggregate_votes",
    "voting/proposal_tallies",
    "submissions/proposal_aggregations",
    "submissions/proposal_approvals",
    "submissions/market_activations",
    tags=SUBMISSION_TAGS,
    description="Counts proposals, submits those that reach the threshold, approves them, and "
    "activates them where AUTO_ACTIVATE is set.",
)

aggregate_votes_schedule = job_schedule(
    aggregate_votes_job.name,
    "*/5 * * * *",
    "Every five minutes: counts the proposals and submits what is due, in case the sensor "
    "missed it.",
)

finalize_markets_job = asset_job(
    "finalize_markets",
    "voting/dispute_tallies",
    "submissions/market_finalizations",
    tags=SUBMISSION_TAGS,
    description="Finalizes markets whose dispute window or dispute vote has ended.",
)

finalize_markets_schedule = job_schedule(
    finalize_markets_job.name,
    "2-59/5 * * * *",
    "Every five minutes: finalizes what is due, in case the sensor missed it.",
)
