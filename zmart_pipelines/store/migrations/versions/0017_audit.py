"""The log of what operators did.

Revision ID: 0017_audit
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0017_audit"
down_revision = "0016_activity"


def upgrade() -> None:
    """Run ``sql/0017_audit.sql``."""
    run_scripts(revision)
