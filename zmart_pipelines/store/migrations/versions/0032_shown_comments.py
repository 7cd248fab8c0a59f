"""When a hidden comment was shown again.

Revision ID: 0032_shown_comments
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0032_shown_comments"
down_revision = "0031_intent_due_at"


def upgrade() -> None:
    """Run ``sql/0032_shown_comments.sql``."""
    run_scripts(revision)
