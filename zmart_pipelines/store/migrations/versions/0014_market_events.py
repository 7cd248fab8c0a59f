"""Index of a market's rare events.

Revision ID: 0014_market_events
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0014_market_events"
down_revision = "0013_refolded_markets"


def upgrade() -> None:
    """Run ``sql/0014_market_events.sql``."""
    run_scripts(revision)
