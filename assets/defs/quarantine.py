"""``chain/quarantine``: events that could not be decoded, decoded again.

Raw logs are kept, so a fix of the decoder needs no RPC. Materialize the asset by hand after one;
``zmart redecode`` does the same.
"""

from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.launches import launched_by
from assets.resources import BackendResource
from zmart_pipelines.operations import ledger_acts
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import chain as tables


@dg.multi_asset(
    name="quarantine",
    specs=[
        asset_spec(
            "chain/quarantine",
            table=tables.events,
            deps=["chain/event_ledger"],
            description="Events of the program that no decoder could read, kept with the reason. "
            "Materializing this decodes them again and applies those that can be read now to "
            "their markets.",
            skippable=True,
        )
    ],
)
def quarantine(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Decode the quarantined events with the current decoder."""
    report = ledger_acts.redecode(
        backend.engine(Role.INGEST), launched_by(context.run), backend.settings.program, ""
    )
    with backend.engine(Role.READ).connect() as conn:
        remaining = health.quarantined(conn)
    yield from record_result(
        context,
        dg.MaterializeResult(
            asset_key=["chain", "quarantine"],
            metadata={
                "dagster/row_count": report.quarantined - report.decoded,
                "Quarantined before": report.quarantined,
                "Decoded events": report.decoded,
                "Markets changed": len(report.markets),
                "Quarantined events": metadata.table(
                    metadata.rows(remaining, "signature", "log_index", "slot", "quarantine_reason")
                ),
            },
        ),
        changed=report.decoded > 0,
    )


redecode_quarantined_job = asset_job(
    "redecode_quarantined",
    "chain/quarantine",
    description="Decodes quarantined events again, after a fix of the decoder.",
)
