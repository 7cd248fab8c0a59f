"""Finalized readings that others supersede, and the kinds of gaps that name why.

Revision ID: 0007_superseded_readings
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0007_superseded_readings"
down_revision = "0006_logins"


def upgrade() -> None:
    """Run ``sql/0007_superseded_readings.sql``."""
    run_scripts(revision)
