"""Group ``reconciliation``: the projection against the chain's own accounts.

Comparing is `X ``zmart_pipelines.ledger.audit.repair``:
by reading transactions again, never by overwriting.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Literal

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.asset_checks import LATENCY_LIMIT, is_selected
from assets.asset_jobs import asset_job, job_schedule
from assets.asset_specs import asset_spec, materialized_within
from assets.error_text import explain
from assets.resources import Backend, BackendResource
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.ledger.audit.difference_records import ClassifiedDifference
from zmart_pipelines.ledger.audit.reconcile import ReconciliationReport, compare_accounts
from zmart_pipelines.ledger.audit.repair import (
    RepairRecord,
    RepairScope,
    due_repairs,
    repair_market,
)
from zmart_pipelines.ledger.readers.backfill import backfill_client
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import reconciliation as history
from zmart_pipelines.store.queries.committed_changes import latencies
from zmart_pipelines.store.queries.markets import questions
from zmart_pipelines.store.tables import reconciliation as tables
from zmart_pipelines.store.tables.ops import differences

# What the picture shows.
_HISTORY = timedelta(hours=24)
_HOUR = 3600
_MINUTE = 60
_STATE = dg.AssetKey(["market", "state"])
_POSITIONS = dg.AssetKey(["market", "positions"])
_REPAIRS = dg.AssetKey(["reconciliation", "repairs"])
_CLASSES = ("drift", "missing_event", "decode_error", "in_flight", "lag")
_REMEDIES = {
    "missing_event": "a transaction is not in the ledger; it is looked for and read now",
    "decode_error": "an event of the market is in quarantine; mend the decoder, then "
    "materialize chain/quarantine",
    "drift": "seen twice, and reading again did not help: somebody must find out",
    "in_flight": "seen once, on a market that moves; the next comparison decides",
    "lag": "the accounts are newer than the ledger",
}


def comparisons(backend: Backend, run_id: str) -> list[ReconciliationReport]:
    """The comparisons of this run, the last of which counts. Its asset and checks share them,
    so that a difference seen in it counts once."""
    return backend.once(("comparisons", run_id), lambda: [_compare(backend)])


def _compare(backend: Backend) -> ReconciliationReport:
    engine = backend.engine(Role.INGEST)

    def catch_up() -> None:
        read_finalized_window(engine, backend.rpc, backend.settings)

    return compare_accounts(engine, backend.reader, catch_up=catch_up)


def row(drift: ClassifiedDifference) -> dict[str, object]:
    """One difference as a row of a table."""
    found = drift.difference
    return {
        "market_id": found.market_id,
        "user": found.user,
        "field": found.field,
        "folded": found.folded,
        "chain": found.chain,
        "chain - folded": _delta(found.folded, found.chain),
        "class": drift.class_,
        "seen": drift.occurrences,
    }


def _delta(folded: str | None, chain: str | None) -> str | None:
    """By how much two numbers differ, with sign."""
    if folded is None or chain is None or not (folded.isdecimal() and chain.isdecimal()):
        return None
    return f"{int(chain) - int(folded):+d}"


def summary(report: ReconciliationReport, names: Mapping[bytes, str]) -> str:
    """A sentence for people, then what differs: market by market, the serious ones first."""
    head = (
        f"{report.markets} markets at slot {report.market_slot} and {report.positions} positions "
        f"at slot {report.position_slot} compared with the ledger, which is complete up to slot "
        f"{report.covered_slot}: **{len(report.actionable)} serious** of {len(report.differences)} "
        "differences."
    )
    lines = [head]
    ordered = sorted(
        report.differences,
        key=lambda one: (_CLASSES.index(one.class_), one.difference.market_id),
    )
    shown = ordered[: metadata.LINKS]
    last = None
    for drift in shown:
        found = drift.difference
        if found.market_id != last:
            last = found.market_id
            name = names.get(last, "not in the ledger").replace("|", "/")
            lines += [
                "",
                f"**{name}** `{last.hex()}`",
                "",
                "| of | field | ledger | chain | chain - ledger | class | seen |",
                "| --- | --- | ---: | ---: | ---: | --- | ---: |",
            ]
        whose = f"`{metadata.cell('user', found.user)}`" if found.user else "market"
        delta = _delta(found.folded, found.chain) or ""
        lines.append(
            f"| {whose} | {found.field} | {found.folded} | {found.chain} | {delta} "
            f"| {drift.class_} | {drift.occurrences} |"
        )
    if len(ordered) > len(shown):
        lines += ["", f"and {len(ordered) - len(shown)} more"]
    classes = [name for name in _CLASSES if any(one.class_ == name for one in ordered)]
    lines += ["", *(f"- {name}: {_REMEDIES[name]}" for name in classes)]
    return "\n".join(lines)


@dg.multi_asset(
    name="reconciliation_report",
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
        )
    ],
)
def reconciliation_report(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Compare, record the differences, show them."""
    from assets import plots

    report = comparisons(backend, context.run.run_id)[-1]
    by_class = Counter(str(drift.class_) for drift in report.differences)
    by_field = Counter(drift.difference.field for drift in report.differences)
    with backend.engine(Role.READ).connect() as conn:
        names = questions(conn, [drift.difference.market_id for drift in report.differences])
        past = history.history(conn, _HISTORY)
        ended = history.ended(conn)
        late = latencies(conn, seconds=_HOUR, piece=_MINUTE)
    picture = plots.lines(
        "Fields that differed, by class",
        _by_class(past),
        "fields",
        "Differences of the last day by class",
        whole=True,
    )
    lateness = plots.lines(
        "From block to row, by webhook or confirmed poll",
        {
            "median": [(one.begins, one.median) for one in late],
            "latest": [(one.begins, one.worst) for one in late],
        },
        "seconds",
        "Seconds from block to row in the last hour",
        limit=LATENCY_LIMIT,
    )
    return dg.MaterializeResult(
        asset_key=["reconciliation", "report"],
        metadata={
            "dagster/row_count": len(report.differences),
            "report": dg.MetadataValue.md(summary(report, names)),
            "last day": picture,
            "lateness of the last hour": lateness
            if late
            else dg.MetadataValue.text("nothing came by webhook or poll"),
            "markets": report.markets,
            "positions": report.positions,
            "serious": len(report.actionable),
            "slot": report.market_slot,
            "ledger complete to slot": report.covered_slot,
            "comparisons of the last day": len(past),
            "differences by class": metadata.counts(by_class),
            "differences by field": metadata.counts(by_field),
            "differences": metadata.table([row(drift) for drift in report.differences]),
            "differences that ended": metadata.table(
                metadata.rows(ended, *history.Ended.__struct_fields__)
            ),
        },
    )


def _by_class(past: Sequence[history.Reconciliation]) -> dict[str, list[tuple[int, float]]]:
    """How many fields differed when, for each class that occurred; a line at 0 for none."""
    occurred = [name for name in _CLASSES if any(getattr(one, name) for one in past)]
    series = {
        name.replace("_", " "): [
            (int(one.reconciled_at.timestamp()), float(getattr(one, name))) for one in past
        ]
        for name in occurred
    }
    return series or {"any class": [(int(one.reconciled_at.timestamp()), 0.0) for one in past]}


class Mending(dg.Config):
    """Which markets to read again."""

    markets: list[str] = Field(
        default=[], description="Market ids in hex; empty for those that differ seriously."
    )
    reading: Literal["missing", "everything"] = Field(
        default="everything",
        description="Of the markets named: all their transactions, or those not in the ledger.",
    )


@dg.multi_asset(
    name="reconciliation_repairs",
    specs=[
        asset_spec(
            "reconciliation/repairs",
            table=tables.repairs,
            kinds=["solana"],
            deps=["reconciliation/report"],
            description="Markets that differed from their accounts: their transactions are read "
            "again and ingested, they are folded anew, and all is compared once more. Nothing "
            "is overwritten.",
        )
    ],
)
def reconciliation_repairs(
    context: dg.AssetExecutionContext, config: Mending, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Read again what differs. A market that cannot be read does not hold up the others; its
    difference stays, and so does the failing check."""
    named: dict[bytes, RepairScope] = {bytes.fromhex(one): config.reading for one in config.markets}
    chosen = named
    if not named:
        report = comparisons(backend, context.run.run_id)[-1]
        with backend.engine(Role.READ).connect() as conn:
            chosen = due_repairs(conn, report)
    done: list[RepairRecord] = []
    errors: list[str] = []
    with backfill_client(backend.settings, backend.guard) as rpc:
        for market_id, reading in chosen.items():
            try:
                done.append(
                    repair_market(
                        backend.engine(Role.INGEST), rpc, backend.settings, market_id, reading
                    )
                )
            except (RpcUnavailable, RateLimited, RpcError) as error:
                errors.append(f"{market_id.hex()}: {explain(error)}")
                context.log.error("not read again: %s", errors[-1])
    found = comparisons(backend, context.run.run_id)
    before = {one.difference.market_id for one in found[-1].actionable}
    if done:
        found.append(_compare(backend))
    after = {one.difference.market_id for one in found[-1].actionable}
    mended = [one.market_id for one in done if one.market_id in before - after]
    with backend.engine(Role.READ).connect() as conn:
        past = history.repaired(conn)
    return dg.MaterializeResult(
        asset_key=["reconciliation", "repairs"],
        metadata={
            "markets read again": len(done),
            "markets mended": len(mended),
            "markets that still differ": len(after),
            "new transactions": sum(one.new_transactions for one in done),
            "new events": sum(one.new_events for one in done),
            "contradicted": sum(one.contradicted for one in done),
            "markets": metadata.table(metadata.rows(done, *RepairRecord.__struct_fields__)),
            "errors": dg.MetadataValue.md("\n".join(f"- {one}" for one in errors) or "none"),
            "last repairs": metadata.table(
                metadata.rows(past, *history.Repaired.__struct_fields__)
            ),
        },
    )


@dg.multi_asset_check(
    name="projection_matches_accounts",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(
            "matches_onchain_accounts",
            asset=key,
            # Where both run, what could be mended is.
            additional_deps=[_REPAIRS],
            description="Every field equals the decoded account's at the same finalized slot. "
            "Differences that motion explains do not count.",
        )
        for key in (_STATE, _POSITIONS)
    ],
)
def projection_matches_accounts(
    context: dg.AssetCheckExecutionContext, backend: BackendResource
) -> Iterator[dg.AssetCheckResult]:
    """One comparison for both; a position's difference names its holder."""
    report = comparisons(backend, context.run.run_id)[-1]
    for key, of_position in ((_STATE, False), (_POSITIONS, True)):
        if not is_selected(context, key):
            continue
        serious = [
            entry
            for entry in report.actionable
            if (entry.difference.user is not None) is of_position
        ]
        compared = report.positions if of_position else report.markets
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="matches_onchain_accounts",
            passed=not serious,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(serious)} fields of {compared} accounts differ",
            metadata={
                "slot": report.market_slot,
                "differences": metadata.table([row(drift) for drift in serious]),
            },
        )


reconcile_job = asset_job(
    "reconcile",
    "reconciliation/report",
    "reconciliation/repairs",
    checks=dg.AssetSelection.all_asset_checks(),
    description="Compares the projection with the chain's accounts, reads again what differs, "
    "and runs every data check.",
)

reconcile_schedule = job_schedule(
    reconcile_job.name,
    "*/10 * * * *",
    "Every ten minutes: compares the projection with the chain and runs every data check.",
)

repair_markets_job = asset_job(
    "repair_markets",
    "reconciliation/repairs",
    description="Reads the transactions of markets again and folds them anew.",
)
