"""Signatures that have served a write.

Revision ID: 0002_signed_requests
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0002_signed_requests"
down_revision = "0001_baseline"


def upgrade() -> None:
    """Run ``sql/0002_signed_requests.sql``."""
    run_scripts("0002_signed_requests")
