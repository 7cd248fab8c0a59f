"""Does Helius post to us? Its webhooks compared with what these settings need of them.

Helius switches a webhook off by itself when too many deliveries fail, and tells nobody.
"""

from __future__ import annotations

from zmart_pipelines.chain.helius_webhooks import HeliusClient, Webhook
from zmart_pipelines.settings import Settings

# Helius knows two clusters.
RAW_TYPES = {"mainnet": "raw", "devnet": "rawDevnet"}


def webhook_problems(webhook: Webhook, settings: Settings) -> list[str]:
    """What keeps a webhook from being of use; nothing of the secret itself."""
    found = []
    wanted = RAW_TYPES.get(settings.solana_cluster)
    secret = settings.helius_webhook_secret
    if not webhook.active:
        found.append("it is switched off; zmart webhook register switches it on")
    if webhook.webhook_type != wanted:
        found.append(f"its type is {webhook.webhook_type}, not {wanted}")
    if secret is None or webhook.auth_header not in (None, secret.get_secret_value()):
        found.append("it carries another secret; zmart webhook register brings it this one")
    return found


def program_webhooks(helius: HeliusClient, settings: Settings) -> list[Webhook]:
    """The webhooks of the account that watch the program. HeliusError."""
    return [one for one in helius.webhooks() if settings.program_id in one.account_addresses]


def delivery_problems(webhooks: list[Webhook], settings: Settings) -> list[str]:
    """Why nothing arrives, a line for each reason; none when one of them is of use."""
    found: list[str] = []
    for one in webhooks:
        wrong = webhook_problems(one, settings)
        if not wrong:
            return []
        found += [f"webhook {one.id}: {line}" for line in wrong]
    return found or [f"no webhook watches {settings.program_id}; zmart webhook register makes it"]
