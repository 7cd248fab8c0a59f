"""What lists of markets are searched, filtered and sorted by.

Revision ID: 0014_listings
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0014_listings"
down_revision = "0013_refolded_markets"


def upgrade() -> None:
    """Run ``sql/0014_listings.sql``."""
    run_scripts(revision)
