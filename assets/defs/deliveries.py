"""``chain/deliveries``: webhook requests that the API stored but did not finish."""

from collections import Counter

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_specs import asset_spec
from assets.error_text import explain
from assets.resources import BackendResource
from zmart_pipelines.chain.helius_webhooks import HeliusClient, HeliusError
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.readers.deliveries import pending_deliveries, process_delivery
from zmart_pipelines.monitoring.webhook_status import RAW_TYPES, complaints, watching
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.stream import announce
from zmart_pipelines.store.tables import chain as tables

# Deliveries of one run; the sensor requests another run for the rest.
MOST_DELIVERIES = 1000

_DELIVERIES = dg.AssetKey(["chain", "deliveries"])


@dg.multi_asset(
    name="deliveries",
    specs=[
        asset_spec(
            "chain/deliveries",
            table=tables.deliveries,
            kinds=["solana"],
            description="Webhook requests as received, committed before anything is made of "
            "them. The API ingests them at once; what it left open is finished here.",
        )
    ],
)
def deliveries(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Finish what is open. One delivery that fails does not hold up the others."""
    engine = backend.engine(Role.INGEST)
    with engine.connect() as conn:
        waiting = pending_deliveries(conn, MOST_DELIVERIES)
    result = IngestResult()
    outcomes: Counter[str] = Counter()
    errors: list[str] = []
    for delivery in waiting:
        try:
            processed = process_delivery(engine, delivery, program=backend.settings.program)
        except SQLAlchemyError as error:
            errors.append(f"delivery {delivery}: {explain(error)}")
            context.log.error(errors[-1])
            continue
        outcomes["complete" if processed.complete else "unreadable"] += 1
        result = result.merge(processed.result)
        announce(backend.settings.redis_url.get_secret_value(), processed.result.positions)
    if errors:
        raise dg.Failure(
            f"{len(errors)} of {len(waiting)} deliveries could not be ingested",
            metadata={"errors": dg.MetadataValue.md("\n".join(f"- {e}" for e in errors[:20]))},
        )
    return dg.MaterializeResult(
        asset_key=_DELIVERIES,
        metadata={
            "deliveries": len(waiting),
            "outcomes": metadata.counts(outcomes),
            **metadata.ingest_counts(result),
        },
    )


# Of the question to Helius; the next check asks again.
TIMEOUT = 5.0


@dg.asset_check(
    asset=_DELIVERIES,
    name="webhook_is_active",
    description="One of the Helius webhooks that watch the program is active, of the raw type and "
    "with our secret. Without HELIUS_API_KEY nobody is asked.",
)
def webhook_is_active(backend: BackendResource) -> dg.AssetCheckResult:
    """A warning: without it nothing is lost, the poll brings the transactions later."""
    settings = backend.settings
    if settings.helius_api_key is None or settings.solana_cluster not in RAW_TYPES:
        return _result([], "there is no HELIUS_API_KEY, or no Helius on this cluster")
    try:
        with HeliusClient(settings.helius_api_url, settings.helius_api_key, TIMEOUT) as helius:
            found = watching(helius, settings)
    except HeliusError as error:
        return _result([str(error)], "")
    return _result(complaints(found, settings), f"{len(found)} watch the program")


def _result(wrong: list[str], right: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(wrong) or right,
    )


process_deliveries_job = asset_job(
    "process_deliveries",
    "chain/deliveries",
    description="Ingests webhook deliveries that the API has stored but not finished.",
)
