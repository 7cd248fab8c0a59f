"""When a market's trades were last refolded, and trades by time.

Revision ID: 0013_refolded_markets
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0013_refolded_markets"
down_revision = "0012_market_counts"


def upgrade() -> None:
    """Run ``sql/0013_refolded_markets.sql``."""
    run_scripts(revision)
