"""The comments of a market, replies included, by when they last changed.

Revision ID: 0041_changed_comments
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0041_changed_comments"
down_revision = "0040_table_sizes"


def upgrade() -> None:
    """Run ``sql/0041_changed_comments.sql``."""
    run_scripts(revision)
