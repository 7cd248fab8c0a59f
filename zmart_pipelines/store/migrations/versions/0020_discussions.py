"""Discussions: threads, edits, votes, reports, hiding, and profiles.

Revision ID: 0020_discussions
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0020_discussions"
down_revision = "0019_row_security"


def upgrade() -> None:
    """Run ``sql/0020_discussions.sql``."""
    run_scripts(revision)
