"""Counts of markets by state and category, and the counts of a vote as a function.

Revision ID: 0010_market_counts
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0010_market_counts"
down_revision = "0009_leaderboards"


def upgrade() -> None:
    """Run ``sql/0010_market_counts.sql``."""
    run_scripts(revision)
