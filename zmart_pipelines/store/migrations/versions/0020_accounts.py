"""How wallets sign in, and their sessions.

Revision ID: 0020_accounts
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0020_accounts"
down_revision = "0019_row_security"


def upgrade() -> None:
    """Run ``sql/0020_accounts.sql``."""
    run_scripts(revision)
