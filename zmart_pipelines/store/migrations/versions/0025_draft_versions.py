"""An index of every version of a draft.

Revision ID: 0025_draft_versions
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0025_draft_versions"
down_revision = "0024_drafts"


def upgrade() -> None:
    """Run ``sql/0025_draft_versions.sql``."""
    run_scripts(revision)
