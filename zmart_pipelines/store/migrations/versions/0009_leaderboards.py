"""Pools and wallets by the hour, and the leaderboards that add them up.

Revision ID: 0009_leaderboards
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0009_leaderboards"
down_revision = "0008_ledger_reads"


def upgrade() -> None:
    """Run ``sql/0009_leaderboards.sql``."""
    run_scripts(revision)
