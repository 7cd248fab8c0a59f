"""Group ``reconciliation``: the projection compared with the chain's own accounts, and repaired.

Comparing is ``zmart_pipelines.ledger.audit.reconcile``. Repairing is
``zmart_pipelines.ledger.audit.repair``: by reading transactions again, never by overwriting.
"""

from collections.abc import Iterator
from typing import Literal

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.asset_checks import is_selected
from assets.asset_jobs import asset_job, job_schedule
from assets.asset_results import record_result
from assets.asset_specs import asset_spec, materialized_within
from assets.error_text import explain
from assets.launches import launched_by
from assets.reconciliation_report import difference_row, report_metadata
from assets.resources import Backend, BackendResource
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.ledger.audit.reconcile import ReconciliationReport, compare_accounts
from zmart_pipelines.ledger.audit.repair import (
    RepairRecord,
    RepairScope,
    due_repairs,
    repair_market,
)
from zmart_pipelines.ledger.readers.backfill import backfill_client
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert
from zmart_pipelines.operations import ledger_acts
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import reconciliation as history
from zmart_pipelines.store.tables import reconciliation as tables
from zmart_pipelines.store.tables.ops import differences

_STATE = dg.AssetKey(["market", "state"])
_POSITIONS = dg.AssetKey(["market", "positions"])
_REPORT = dg.AssetKey(["reconciliation", "report"])
_REPAIRS = dg.AssetKey(["reconciliation", "repairs"])


# Raised by the database with the supersession itself; ended by a comparison without differences.
SUPERSEDED_READING = AlertKey("superseded_reading")


class RepairConfig(dg.Config):
    """Which markets are read again."""

    markets: list[str] = Field(
        default=[], description="Market ids in hex; empty for those with actionable differences."
    )
    reading: Literal["missing", "everything"] = Field(
        default="everything",
        description="Of the named markets: all their transactions, or those not in the ledger.",
    )


@dg.multi_asset(
    name="reconciliation",
    can_subset=True,
    specs=[
        asset_spec(
            "reconciliation/report",
            table=differences,
            kinds=["solana"],
            deps=["market/state", "market/positions"],
            description="Every market and position compared field by field with the decoded "
            "account at the same finalized slot. A difference has a class; drift is the same "
            "difference twice.",
            freshness=materialized_within(warn=15, fail=30),
            skippable=True,
        ),
        asset_spec(
            "reconciliation/repairs",
            table=tables.repairs,
            kinds=["solana"],
            deps=["reconciliation/report"],
            description="Markets that differed from their accounts: their transactions are read "
            "again and ingested, the markets are folded again, and everything is compared once "
            "more. Nothing is overwritten.",
            skippable=True,
        ),
    ],
)
def reconciliation(
    context: dg.AssetExecutionContext, config: RepairConfig, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Compare, record the differences, then read again what needs action.

    Both assets are of one step: a step that follows a skipped asset would be skipped too, and so
    would the checks.
    """
    if _REPORT in context.selected_asset_keys:
        report = comparisons(backend, context.run.run_id)[-1]
        if not report.actionable:
            with backend.engine(Role.PIPELINES).begin() as conn:
                clear_alert(conn, SUPERSEDED_READING)
        with backend.engine(Role.READ).connect() as conn:
            yield dg.MaterializeResult(asset_key=_REPORT, metadata=report_metadata(conn, report))
    if _REPAIRS in context.selected_asset_keys:
        yield from _repairs(context, config, backend)


def comparisons(backend: Backend, run_id: str) -> list[ReconciliationReport]:
    """Return the comparisons of this run, the last of which counts.

    Its assets and checks share them, so that a difference seen in one run counts once.
    """
    return backend.memoize_last(("comparisons", run_id), lambda: [_compare(backend)])


def _compare(backend: Backend) -> ReconciliationReport:
    engine = backend.engine(Role.INGEST)

    def catch_up() -> None:
        read_finalized_window(engine, backend.rpc, backend.settings)

    return compare_accounts(engine, backend.reader, catch_up=catch_up)


def _repairs(
    context: dg.AssetExecutionContext, config: RepairConfig, backend: Backend
) -> Iterator[dg.MaterializeResult[None]]:
    """Read again what differs, then compare again.

    A market that cannot be read does not hold up the others; its difference stays, and so does
    the failing check.
    """
    chosen: dict[bytes, RepairScope]
    chosen = {bytes.fromhex(market_id): config.reading for market_id in config.markets}
    if chosen:
        ledger_acts.record(
            backend.engine(Role.INGEST),
            launched_by(context.run),
            "repair",
            details={"markets": config.markets, "reading": config.reading},
        )
    else:
        report = comparisons(backend, context.run.run_id)[-1]
        with backend.engine(Role.READ).connect() as conn:
            chosen = due_repairs(conn, report)
    repairs, errors = _read_again(context, backend, chosen)
    found = comparisons(backend, context.run.run_id)
    before = _differing(found[-1])
    if repairs:
        found.append(_compare(backend))
    after = _differing(found[-1])
    repaired = [repair for repair in repairs if repair.market_id in before - after]
    with backend.engine(Role.READ).connect() as conn:
        past = history.latest_repairs(conn)
    yield from record_result(
        context,
        dg.MaterializeResult(
            asset_key=_REPAIRS,
            metadata={
                "Markets read again": len(repairs),
                "Markets repaired": len(repaired),
                "Markets still different": len(after),
                "New transactions": sum(repair.new_transactions for repair in repairs),
                "New events": sum(repair.new_events for repair in repairs),
                "Contradicted readings": sum(repair.contradicted for repair in repairs),
                "Repairs": metadata.table(metadata.rows(repairs, *RepairRecord.__struct_fields__)),
                "Errors": metadata.texts(errors),
                "Previous repairs": metadata.table(
                    metadata.rows(past, *history.Repair.__struct_fields__)
                ),
            },
        ),
        changed=bool(repairs or errors),
    )


def _read_again(
    context: dg.AssetExecutionContext, backend: Backend, chosen: dict[bytes, RepairScope]
) -> tuple[list[RepairRecord], list[str]]:
    """Return what was done for each market, and the errors of those that could not be read."""
    engine = backend.engine(Role.INGEST)
    repairs: list[RepairRecord] = []
    errors: list[str] = []
    with backfill_client(backend.settings, backend.guard) as rpc:
        for market_id, scope in chosen.items():
            try:
                repairs.append(repair_market(engine, rpc, backend.settings, market_id, scope))
            except (RpcUnavailable, RateLimited, RpcError) as error:
                errors.append(f"{market_id.hex()}: {explain(error)}")
                context.log.error("could not be read again: %s", errors[-1])
    return repairs, errors


def _differing(report: ReconciliationReport) -> set[bytes]:
    """Return the markets with actionable differences."""
    return {one.difference.market_id for one in report.actionable}


@dg.multi_asset_check(
    name="projection_matches_accounts",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "matches_onchain_accounts",
            asset=key,
            # In a run that also repairs, the check judges what is left.
            additional_deps=[_REPORT],
            description="Every field equals the decoded account's at the same finalized slot. "
            "Differences explained by motion do not count.",
        )
        for key in (_STATE, _POSITIONS)
    ],
)
def projection_matches_accounts(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """Compare once for both assets; a position's difference names its holder."""
    report = comparisons(backend, context.run.run_id)[-1]
    for key, of_position in ((_STATE, False), (_POSITIONS, True)):
        if not is_selected(context, key):
            continue
        actionable = [
            one for one in report.actionable if (one.difference.user is not None) is of_position
        ]
        compared = report.positions if of_position else report.markets
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="matches_onchain_accounts",
            passed=not actionable,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(actionable)} fields of {compared} accounts differ",
            metadata={
                "Slot": report.market_slot,
                "Differences": metadata.table([difference_row(one) for one in actionable]),
            },
        )


reconcile_job = asset_job(
    "reconcile",
    "reconciliation/report",
    "reconciliation/repairs",
    checks=dg.AssetSelection.all_asset_checks(),
    description="Compares the projection with the chain's accounts, repairs what differs and "
    "evaluates every data check.",
)

reconcile_schedule = job_schedule(
    reconcile_job.name,
    "*/10 * * * *",
    "Every ten minutes: compares the projection with the chain and evaluates every data check.",
)

repair_markets_job = asset_job(
    "repair_markets",
    "reconciliation/repairs",
    description="Reads the transactions of markets again and folds the markets again.",
)
