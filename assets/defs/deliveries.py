"""``chain/deliveries``: webhook requests that the API stored but did not finish.

The API ingests a delivery within milliseconds of storing it. What it left unfinished, because it
was stopped or the database failed, is finished by the job here.
"""

from collections import Counter
from collections.abc import Iterator

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.error_text import explain
from assets.resources import BackendResource
from zmart_pipelines.chain.helius_webhooks import HeliusClient, HeliusError
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.readers.deliveries import pending_deliveries, process_delivery
from zmart_pipelines.monitoring.webhook_status import RAW_TYPES, delivery_problems, program_webhooks
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.failed_deliveries import failed_deliveries
from zmart_pipelines.store.tables import chain as tables

# Deliveries of one run; the sensor requests another run for the rest.
MAX_DELIVERIES = 1000
# Errors that a failed run lists.
_MAX_ERRORS = 20

# Seconds for one request to Helius; the next check repeats it.
HELIUS_TIMEOUT = 5.0

_DELIVERIES = dg.AssetKey(["chain", "deliveries"])

# The one data version of chain/deliveries. A delivery is ingested with its events, so that the
# ledger is never behind what was recorded here; a version for each delivery would mark it so.
DELIVERIES_VERSION = "ingested"


@dg.multi_asset(
    name="deliveries",
    specs=[
        asset_spec(
            "chain/deliveries",
            table=tables.deliveries,
            kinds=["solana"],
            description="Webhook requests as received, committed before they are processed. The "
            "API ingests them at once; a run finishes those that it left pending.",
            skippable=True,
        )
    ],
)
def deliveries(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Ingest pending deliveries. One that fails does not hold up the others."""
    engine = backend.engine(Role.INGEST)
    with engine.connect() as conn:
        pending = pending_deliveries(conn, MAX_DELIVERIES)
    result = IngestResult()
    statuses: Counter[str] = Counter()
    errors: list[str] = []
    for delivery in pending:
        try:
            processed = process_delivery(engine, delivery, program=backend.settings.program)
        except SQLAlchemyError as error:
            errors.append(f"delivery {delivery}: {explain(error)}")
            context.log.error(errors[-1])
            continue
        statuses["complete" if processed.complete else "unreadable"] += 1
        result = result.merge(processed.result)
    with backend.engine(Role.READ).connect() as conn:
        failed = failed_deliveries(conn)
    if errors:
        raise dg.Failure(
            f"{len(errors)} of {len(pending)} deliveries could not be ingested",
            metadata={"Errors": metadata.texts(errors, limit=_MAX_ERRORS)},
        )
    yield from record_result(
        context,
        dg.MaterializeResult(
            asset_key=_DELIVERIES,
            data_version=dg.DataVersion(DELIVERIES_VERSION),
            metadata={
                "Deliveries": len(pending),
                "Deliveries by result": metadata.counts(statuses),
                "Failed deliveries": metadata.table(
                    metadata.rows(
                        failed, "id", "received_at", "transaction_count", "attempts", "error"
                    )
                ),
                **metadata.ingest_counts(result),
            },
        ),
        changed=bool(pending),
    )


@dg.asset_check(
    asset=_DELIVERIES,
    name="webhook_is_active",
    description="At least one Helius webhook of the program is active, of the raw type and with "
    "our secret. Passes without HELIUS_API_KEY, because Helius cannot be asked then.",
)
def webhook_is_active(backend: BackendResource) -> dg.AssetCheckResult:
    """Warn only: without a webhook nothing is lost, the poll reads transactions later."""
    settings = backend.settings
    if settings.helius_api_key is None or settings.solana_cluster not in RAW_TYPES:
        return _webhook_result([], "there is no HELIUS_API_KEY, or no Helius on this cluster")
    try:
        with HeliusClient(
            settings.helius_api_url, settings.helius_api_key, HELIUS_TIMEOUT
        ) as helius:
            found = program_webhooks(helius, settings)
    except HeliusError as error:
        return _webhook_result([str(error)], "")
    return _webhook_result(
        delivery_problems(found, settings), f"{len(found)} webhooks of the program"
    )


def _webhook_result(problems: list[str], summary: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(problems) or summary,
    )


process_deliveries_job = asset_job(
    "process_deliveries",
    "chain/deliveries",
    description="Ingests webhook deliveries that the API stored but did not finish.",
)
