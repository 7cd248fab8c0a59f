"""The table of backups.

Revision ID: 0033_backups
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0033_backups"
down_revision = "0032_settled_intents"


def upgrade() -> None:
    """Run ``sql/0033_backups.sql``."""
    run_scripts(revision)
