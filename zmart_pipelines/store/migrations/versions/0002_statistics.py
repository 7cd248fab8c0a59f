"""Candles and the statistics of markets and wallets.

Revision ID: 0002
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_scripts(revision, "statistics")
