"""``chain/quarantine``: event lines that could not be decoded, decoded again.

Raw logs are kept, so a fix of the decoder needs no RPC. Materialize it by hand after one;
``zmart redecode`` does the same.
"""

import dagster as dg

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_specs import asset_spec
from assets.resources import BackendResource
from zmart_pipelines.ledger.audit.redecode import redecode_quarantined
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
            description="Event lines of the program that no decoder could read, kept with the "
            "reason. Materializing it decodes them again; what can be read now joins its market.",
        )
    ],
)
def quarantine(backend: BackendResource) -> dg.MaterializeResult[None]:
    """Decode what is in quarantine with the decoder of today."""
    report = redecode_quarantined(backend.engine(Role.INGEST), backend.settings.program)
    with backend.engine(Role.READ).connect() as conn:
        left = health.quarantined(conn)
    return dg.MaterializeResult(
        asset_key=["chain", "quarantine"],
        metadata={
            "dagster/row_count": report.quarantined - report.decoded,
            "lines before": report.quarantined,
            "decoded": report.decoded,
            "markets changed": len(report.markets),
            "lines": metadata.table(
                metadata.rows(left, "signature", "log_index", "slot", "quarantine_reason")
            ),
        },
    )


redecode_quarantined_job = asset_job(
    "redecode_quarantined",
    "chain/quarantine",
    description="Decodes event lines in quarantine again, after a fix of the decoder.",
)
