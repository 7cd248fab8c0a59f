"""Keys that belong to a wallet, and scopes that exist.

Revision ID: 0028_key_wallets
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0028_key_wallets"
down_revision = "0027_realtime_tickets"


def upgrade() -> None:
    """Run ``sql/0028_key_wallets.sql``."""
    run_scripts(revision)
