"""When a hidden comment was shown again.

Revision ID: 0034_shown_comments
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0034_shown_comments"
down_revision = "0033_backups"


def upgrade() -> None:
    """Run ``sql/0034_shown_comments.sql``."""
    run_scripts(revision)
