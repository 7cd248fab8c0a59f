"""Drafts that are replaced and withdrawn, and documents that are evidence.

Revision ID: 0024_drafts
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0024_drafts"
down_revision = "0023_orders"


def upgrade() -> None:
    """Run ``sql/0024_drafts.sql``."""
    run_scripts(revision)
