"""What the monitor looks for, found without reading what is as it should be.

Revision ID: 0042_monitor_indexes
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0042_monitor_indexes"
down_revision = "0041_changed_comments"


def upgrade() -> None:
    """Run ``sql/0042_monitor_indexes.sql``."""
    run_scripts(revision)
