"""An index of the trades by time, for the feed of activity.

Revision ID: 0016_activity
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0016_activity"
down_revision = "0015_listings"


def upgrade() -> None:
    """Run ``sql/0016_activity.sql``."""
    run_scripts(revision)
