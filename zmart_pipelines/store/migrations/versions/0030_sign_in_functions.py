"""Nonces and new sessions in one round trip each.

Revision ID: 0030_sign_in_functions
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0030_sign_in_functions"
down_revision = "0029_key_wallets"


def upgrade() -> None:
    """Run ``sql/0030_sign_in_functions.sql``."""
    run_scripts(revision)
