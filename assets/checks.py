"""Data checks: what must hold of the rows, whoever wrote them.

The judgement is the domain's; a check here reads, asks and shows. ``assets.run_checks`` runs
all of them without a daemon, the job ``reconcile`` every ten minutes. None is blocking: a
wrong table must be repaired, and stopping what repairs it would not help.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg

from assets import metadata
from assets.reconciliation import HOUR, LATENESS_LIMIT, comparisons, row
from assets.resources import BackendResource
from zmart_pipelines.ledger.audit.rebuild import verify_projection
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import breakers, candles, health, submissions
from zmart_pipelines.store.queries.committed_changes import latencies
from zmart_pipelines.voting import tallies

# A gap is retried within seconds; one that stays this long is not being closed.
GAP_LIMIT = timedelta(minutes=5)
QUARANTINE_LIMIT = timedelta(minutes=15)
INTENT_LIMIT = timedelta(minutes=10)
# They are made each minute.
STATISTICS_LIMIT = timedelta(minutes=10)
# Longer than any time: all of it in one piece.
_EVER = 2**40

_EVENT_LEDGER = dg.AssetKey(["chain", "event_ledger"])
_COVERAGE = dg.AssetKey(["chain", "coverage"])
_STATE = dg.AssetKey(["market", "state"])
_POSITIONS = dg.AssetKey(["market", "positions"])
_CANDLES = dg.AssetKey(["market", "candles"])
_REPAIRS = dg.AssetKey(["reconciliation", "repairs"])
_TALLIES = {
    "proposal": dg.AssetKey(["voting", "proposal_tallies"]),
    "dispute": dg.AssetKey(["voting", "dispute_tallies"]),
}
_FINALIZED = dg.AssetKey(["submissions", "market_finalizations"])
_SUBMITTED = {
    "aggregate_proposal_votes": dg.AssetKey(["submissions", "proposal_aggregations"]),
    "approve_proposal": dg.AssetKey(["submissions", "proposal_approvals"]),
    "activate_market": dg.AssetKey(["submissions", "market_activations"]),
    "resolve_market": dg.AssetKey(["submissions", "market_resolutions"]),
    "finalize_market": _FINALIZED,
}


def _older(moment: datetime, limit: timedelta) -> bool:
    return datetime.now(UTC) - moment > limit


def _wanted(context: dg.AssetCheckExecutionContext, asset: dg.AssetKey) -> bool:
    """Whether this run asks for the check on that asset."""
    return any(key.asset_key == asset for key in context.selected_asset_check_keys)


@dg.asset_check(
    asset=_COVERAGE,
    name="no_hole",
    description="No slot between the first and the last covered one is unread, and no "
    "transaction known to be missing stays missing for five minutes.",
)
def no_hole(backend: BackendResource) -> dg.AssetCheckResult:
    """More than one covered range means a hole between them."""
    with backend.engine(Role.READ).connect() as conn:
        ranges = health.coverage(conn)
        gaps = [gap for gap in health.gaps(conn) if _older(gap.opened_at, GAP_LIMIT)]
    holes = [
        {"first slot": before.last_slot + 1, "last slot": after.first_slot - 1}
        for before, after in pairwise(ranges)
    ]
    return dg.AssetCheckResult(
        passed=not holes and not gaps,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(holes)} holes, {len(gaps)} gaps open for over {GAP_LIMIT}",
        metadata={
            "holes": metadata.table(holes),
            "gaps": metadata.table(metadata.rows(gaps, "signature", "slot", "reason", "attempts")),
        },
    )


@dg.asset_check(
    asset=_EVENT_LEDGER,
    name="no_old_quarantine",
    description="No event line has been waiting in quarantine for more than 15 minutes.",
)
def no_old_quarantine(backend: BackendResource) -> dg.AssetCheckResult:
    """What cannot be decoded is kept; for long it may not stay unread."""
    with backend.engine(Role.READ).connect() as conn:
        overdue = [
            line for line in health.quarantined(conn) if _older(line.seen_at, QUARANTINE_LIMIT)
        ]
    return dg.AssetCheckResult(
        passed=not overdue,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(overdue)} event lines in quarantine for over {QUARANTINE_LIMIT}",
        metadata={
            "lines": metadata.table(
                metadata.rows(overdue, "signature", "log_index", "slot", "quarantine_reason")
            )
        },
    )


@dg.asset_check(
    asset=_EVENT_LEDGER,
    name="keeps_up",
    description="Half of the last hour's transactions were in the ledger within ten seconds of "
    "their block, by webhook or by the confirmed poll.",
)
def keeps_up(backend: BackendResource) -> dg.AssetCheckResult:
    """A warning: nothing is wrong or lost, it only comes late."""
    with backend.engine(Role.READ).connect() as conn:
        whole = next(iter(latencies(conn, seconds=HOUR, piece=_EVER)), None)
    median = 0.0 if whole is None else whole.median
    return dg.AssetCheckResult(
        passed=median <= LATENESS_LIMIT,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{median:.1f} s from block to row in the median of the last hour"
        if whole is not None
        else "nothing came by webhook or poll in the last hour",
        metadata={
            "transactions": 0 if whole is None else whole.transactions,
            "median in seconds": round(median, 3),
            "latest in seconds": 0.0 if whole is None else round(whole.worst, 3),
        },
    )


@dg.multi_asset_check(
    name="tallies_equal_ballots",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "equals_ballots",
            asset=key,
            description="Each tally is the count of its ballots; a frozen one, of the ballots "
            "it was frozen with.",
        )
        for key in _TALLIES.values()
    ],
)
def tallies_equal_ballots(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """One look at both kinds."""
    with backend.engine(Role.READ).connect() as conn:
        faults = tallies.faults(conn)
    for kind, key in _TALLIES.items():
        if not _wanted(context, key):
            continue
        wrong = [fault for fault in faults if fault.kind == kind]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="equals_ballots",
            passed=not wrong,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(wrong)} tallies differ from their ballots",
            metadata={
                "tallies": metadata.table(
                    metadata.rows(
                        wrong,
                        "market_id",
                        "round",
                        "status",
                        "stored",
                        "counted",
                        "dropped",
                        "invented",
                    )
                )
            },
        )


@dg.multi_asset_check(
    name="no_overdue_intent",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "no_overdue_intent",
            asset=key,
            description="What is owed to the chain is done or given up within ten minutes.",
        )
        for key in _SUBMITTED.values()
    ],
)
def no_overdue_intent(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """A warning: the run or an alert of it says what is wrong."""
    with backend.engine(Role.READ).connect() as conn:
        overdue = [
            intent
            for intent in submissions.open_intents(conn)
            if _older(intent.created_at, INTENT_LIMIT)
        ]
    for action, key in _SUBMITTED.items():
        if not _wanted(context, key):
            continue
        late = [intent for intent in overdue if intent.action == action]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="no_overdue_intent",
            passed=not late,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(late)} intents open for over {INTENT_LIMIT}",
            metadata={
                "intents": metadata.table(
                    metadata.rows(
                        late, "id", "market_id", "status", "failures", "reason", "created_at"
                    )
                )
            },
        )


@dg.multi_asset_check(
    name="projection_equals_accounts",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "equals_accounts",
            asset=key,
            # Where both run, what could be mended is.
            additional_deps=[_REPAIRS],
            description="Every field equals the decoded account's at the same finalized slot. "
            "Differences that motion explains do not count.",
        )
        for key in (_STATE, _POSITIONS)
    ],
)
def projection_equals_accounts(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """One comparison for both; a position's difference names its holder."""
    report = comparisons(backend, context.run.run_id)[-1]
    for key, of_position in ((_STATE, False), (_POSITIONS, True)):
        if not _wanted(context, key):
            continue
        serious = [
            drift for drift in report.serious if (drift.difference.user is not None) is of_position
        ]
        compared = report.positions if of_position else report.markets
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="equals_accounts",
            passed=not serious,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(serious)} fields of {compared} accounts differ",
            metadata={
                "slot": report.market_slot,
                "differences": metadata.table([row(drift) for drift in serious]),
            },
        )


@dg.asset_check(
    asset=_STATE,
    name="equals_fold",
    description="The stored projection of every market has the hash of its ledger's fold.",
)
def equals_fold(backend: BackendResource) -> dg.AssetCheckResult:
    """Both are read in one snapshot of the database."""
    engine = backend.engine(Role.READ).execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as conn:
        wrong = verify_projection(conn, backend.settings.program)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} markets differ from the fold of their events",
        metadata={"markets": metadata.table(metadata.rows(wrong, "market_id", "folded", "stored"))},
    )


@dg.asset_check(
    asset=_CANDLES,
    name="equal_trades",
    description="Of every market and interval the candles' volumes and trades add up to the "
    "trades; statistics are made within ten minutes of a change.",
)
def candles_equal_trades(backend: BackendResource) -> dg.AssetCheckResult:
    """Added up by Postgres, which knows nothing of how pandas made them."""
    with backend.engine(Role.READ).connect() as conn:
        wrong = candles.faults(conn, STATISTICS_LIMIT)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} intervals of {len({one.market_id for one in wrong})} markets "
        "are not their trades",
        metadata={
            "candles": metadata.table(metadata.rows(wrong, *candles.CandleFault.__struct_fields__))
        },
    )


@dg.multi_asset_check(
    name="nothing_stopped",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "nothing_stopped",
            asset=key,
            description="What this needs is in use: no breaker of an RPC endpoint or of an action "
            "is open after failures.",
        )
        for key in (_COVERAGE, *_SUBMITTED.values())
    ],
)
def nothing_stopped(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """A warning: there may be another endpoint, and an alert follows after five minutes."""
    with backend.engine(Role.READ).connect() as conn:
        stopped = [one for one in breakers.breakers(conn) if not one.is_closed]
    for key in (_COVERAGE, *_SUBMITTED.values()):
        if not _wanted(context, key):
            continue
        own = [one for one in stopped if _needed_by(one.name) == key]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="nothing_stopped",
            passed=not own,
            severity=dg.AssetCheckSeverity.WARN,
            description=", ".join(f"{one.name} is {one.state}" for one in own) or "all in use",
            metadata={
                "breakers": metadata.table(
                    metadata.rows(
                        own, "name", "state", "level", "opened_at", "wait_until", "last_error"
                    )
                )
            },
        )


def _needed_by(breaker: str) -> dg.AssetKey:
    kind, _, name = breaker.partition(":")
    return _SUBMITTED.get(name, _FINALIZED) if kind == "action" else _COVERAGE


CHECKS = [
    no_hole,
    no_old_quarantine,
    keeps_up,
    projection_equals_accounts,
    equals_fold,
    candles_equal_trades,
    tallies_equal_ballots,
    no_overdue_intent,
    nothing_stopped,
]
