"""Snapshots of discussions.

Revision ID: 0028_discussion_snapshots
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0028_discussion_snapshots"
down_revision = "0027_realtime_tickets"


def upgrade() -> None:
    """Run ``sql/0028_discussion_snapshots.sql``."""
    run_scripts(revision)
