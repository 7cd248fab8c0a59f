"""Group ``reconciliation``: the projection against the chain's own accounts.

Comparing is ``zmart_pipelines.ledger.reconcile``; nothing is repaired by overwriting.
"""

from collections import Counter

import dagster as dg

from assets import metadata
from assets.resources import Backend, BackendResource
from assets.spec import asset_spec
from zmart_pipelines.ledger.poll import read_finalized_window
from zmart_pipelines.ledger.reconcile import Drift, ReconciliationReport, compare
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import differences


def comparison(backend: Backend, run_id: str) -> ReconciliationReport:
    """The comparison of this run: asset and checks of one run share one, so that a difference
    seen in it counts once."""
    engine = backend.engine(Role.INGEST)

    def catch_up() -> None:
        read_finalized_window(engine, backend.rpc, backend.settings)

    return backend.once(
        ("comparison", run_id),
        lambda: compare(engine, backend.reader, catch_up=catch_up),
    )


def row(drift: Drift) -> dict[str, object]:
    """One difference as a row of a table."""
    found = drift.difference
    return {
        "market_id": found.market_id,
        "user": found.user,
        "field": found.field,
        "folded": found.folded,
        "chain": found.chain,
        "class": drift.class_,
        "seen": drift.seen,
    }


def _summary(report: ReconciliationReport) -> str:
    """A sentence for people, and the serious differences as a list."""
    head = (
        f"{report.markets} markets at slot {report.market_slot} and {report.positions} positions "
        f"at slot {report.position_slot} compared with the ledger, which is complete up to slot "
        f"{report.covered_slot}: **{len(report.serious)} serious** of {len(report.differences)} "
        "differences."
    )
    lines = [head, ""]
    for drift in report.serious[: metadata.LINKS]:
        found = drift.difference
        whose = f"position of {metadata.cell('user', found.user)}" if found.user else "market"
        lines.append(
            f"- {drift.class_}: {whose} in `{found.market_id.hex()[:8]}`, `{found.field}`: "
            f"folded `{found.folded}`, chain `{found.chain}`, seen {drift.seen}×"
        )
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
        )
    ],
)
def reconciliation_report(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Compare, record the differences, show them."""
    report = comparison(backend, context.run.run_id)
    by_class = Counter(str(drift.class_) for drift in report.differences)
    by_field = Counter(drift.difference.field for drift in report.differences)
    return dg.MaterializeResult(
        asset_key=["reconciliation", "report"],
        metadata={
            "dagster/row_count": len(report.differences),
            "report": dg.MetadataValue.md(_summary(report)),
            "markets": report.markets,
            "positions": report.positions,
            "serious": len(report.serious),
            "slot": report.market_slot,
            "ledger complete to slot": report.covered_slot,
            "differences by class": metadata.counts(by_class),
            "differences by field": metadata.counts(by_field),
            "differences": metadata.table([row(drift) for drift in report.differences]),
        },
    )


ASSETS = [reconciliation_report]
