"""What lists of markets are searched, filtered and sorted by.

Revision ID: 0015_listings
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0015_listings"
down_revision = "0014_market_events"


def upgrade() -> None:
    """Run ``sql/0015_listings.sql``."""
    run_scripts(revision)
