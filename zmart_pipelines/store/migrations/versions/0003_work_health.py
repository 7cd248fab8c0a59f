"""What health needs to know of finished work: job runs, due times, and when the tip was reached.

Revision ID: 0003_work_health
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0003_work_health"
down_revision = "0002_signed_requests"


def upgrade() -> None:
    """Run ``sql/0003_work_health.sql``."""
    run_scripts("0003_work_health")
