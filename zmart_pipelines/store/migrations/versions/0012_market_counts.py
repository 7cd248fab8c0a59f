"""Counts of markets by state and category, and the counts of a vote as a function.

Revision ID: 0012_market_counts
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0012_market_counts"
down_revision = "0011_ledger_summaries"


def upgrade() -> None:
    """Run ``sql/0012_market_counts.sql``."""
    run_scripts(revision)
