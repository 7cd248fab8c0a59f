"""Drafts that are replaced and withdrawn, and documents that are evidence.

Revision ID: 0023_drafts
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0023_drafts"
down_revision = "0022_relayed_transactions"


def upgrade() -> None:
    """Run ``sql/0023_drafts.sql``."""
    run_scripts(revision)
