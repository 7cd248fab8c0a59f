"""Webhook entries that could not be read, counted with their delivery.

Revision ID: 0004_unreadable_entries
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0004_unreadable_entries"
down_revision = "0003_work_health"


def upgrade() -> None:
    """Run ``sql/0004_unreadable_entries.sql``."""
    run_scripts("0004_unreadable_entries")
