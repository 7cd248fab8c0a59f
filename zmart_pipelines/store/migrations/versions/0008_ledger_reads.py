"""Indexes of the event feeds, and when a transaction was confirmed.

Revision ID: 0008_ledger_reads
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0008_ledger_reads"
down_revision = "0007_superseded_readings"


def upgrade() -> None:
    """Run ``sql/0008_ledger_reads.sql``."""
    run_scripts(revision)
