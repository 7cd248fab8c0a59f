"""Transactions that wallets signed and the API relays.

Revision ID: 0022_relayed_transactions
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0022_relayed_transactions"
down_revision = "0021_discussions"


def upgrade() -> None:
    """Run ``sql/0022_relayed_transactions.sql``."""
    run_scripts(revision)
