"""Finalized readings that others supersede, and the kinds of gaps that name why.

Revision ID: 0002_superseded_readings
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0002_superseded_readings"
down_revision = "0001_baseline"


def upgrade() -> None:
    """Run ``sql/0002_superseded_readings.sql``."""
    run_scripts(revision)
