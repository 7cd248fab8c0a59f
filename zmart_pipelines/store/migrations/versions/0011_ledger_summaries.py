"""Indexes of the reads of submissions, gaps and tallies.

Revision ID: 0011_ledger_summaries
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0011_ledger_summaries"
down_revision = "0010_api_keys"


def upgrade() -> None:
    """Run ``sql/0011_ledger_summaries.sql``."""
    run_scripts(revision)
