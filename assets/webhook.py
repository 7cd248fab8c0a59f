"""The check that Helius still posts to us, where there is a key to ask it with."""

import dagster as dg

from assets.resources import BackendResource
from zmart_pipelines.chain.helius_webhooks import HeliusClient, HeliusError
from zmart_pipelines.monitoring.webhook_status import RAW_TYPES, complaints, watching

# Of the question to Helius; the next check asks again.
TIMEOUT = 5.0


@dg.asset_check(
    asset=dg.AssetKey(["chain", "deliveries"]),
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


CHECKS = [webhook_is_active]
