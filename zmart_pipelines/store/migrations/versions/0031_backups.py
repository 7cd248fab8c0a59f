"""The table of backups.

Revision ID: 0031_backups
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0031_backups"
down_revision = "0030_sign_in_functions"


def upgrade() -> None:
    """Run ``sql/0031_backups.sql``."""
    run_scripts(revision)
