"""Discussions: threads, edits, votes, reports, hiding, and profiles.

Revision ID: 0021_discussions
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0021_discussions"
down_revision = "0020_accounts"


def upgrade() -> None:
    """Run ``sql/0021_discussions.sql``."""
    run_scripts(revision)
