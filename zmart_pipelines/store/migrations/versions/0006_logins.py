"""One login per role; Dagster's tables and backups have roles of their own.

Revision ID: 0006_logins
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0006_logins"
down_revision = "0005_guards"


def upgrade() -> None:
    """Run ``sql/0006_logins.sql``."""
    run_scripts("0006_logins")
