"""When a market's trades were last refolded, and trades by time.

Revision ID: 0010_refolded_markets
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0010_refolded_markets"
down_revision = "0009_leaderboards"


def upgrade() -> None:
    """Run ``sql/0010_refolded_markets.sql``."""
    run_scripts(revision)
