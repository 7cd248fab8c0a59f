"""Keys that belong to a wallet, and scopes that exist.

Revision ID: 0029_key_wallets
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0029_key_wallets"
down_revision = "0028_discussion_snapshots"


def upgrade() -> None:
    """Run ``sql/0029_key_wallets.sql``."""
    run_scripts(revision)
