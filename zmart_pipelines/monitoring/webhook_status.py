"""Compare the webhooks registered at Helius with what the settings require.

Helius deactivates a webhook when too many deliveries fail, without a notification.
"""

from __future__ import annotations

from zmart_pipelines.chain.helius_webhooks import HeliusClient, Webhook
from zmart_pipelines.settings import Settings

# Helius supports two clusters.
RAW_TYPES = {"mainnet": "raw", "devnet": "rawDevnet"}


def webhook_problems(webhook: Webhook, settings: Settings) -> list[str]:
    """Return why a webhook does not deliver to us; the secret itself is not included."""
    found = []
    wanted = RAW_TYPES.get(settings.solana_cluster)
    secret = settings.helius_webhook_secret
    if not webhook.active:
        found.append("it is inactive; zmart webhook register activates it")
    if webhook.webhook_type != wanted:
        found.append(f"its type is {webhook.webhook_type}, not {wanted}")
    if secret is None or webhook.auth_header not in (None, secret.get_secret_value()):
        found.append("it sends another secret; zmart webhook register updates it")
    return found


def program_webhooks(helius: HeliusClient, settings: Settings) -> list[Webhook]:
    """Return the account's webhooks that watch the program.

    Raises:
        HeliusError: Helius cannot be reached or refuses the key.
    """
    return [one for one in helius.webhooks() if settings.program_id in one.account_addresses]


def delivery_problems(webhooks: list[Webhook], settings: Settings) -> list[str]:
    """Return why nothing arrives, a line per reason; empty when one webhook is correct."""
    found: list[str] = []
    for one in webhooks:
        wrong = webhook_problems(one, settings)
        if not wrong:
            return []
        found += [f"webhook {one.id}: {line}" for line in wrong]
    return found or [
        f"no webhook watches {settings.program_id}; zmart webhook register creates one"
    ]
