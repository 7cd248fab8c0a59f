"""Alerts: acknowledged, silenced, escalated, and sent as messages of an outbox.

Revision ID: 0035_alert_messages
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0035_alert_messages"
down_revision = "0034_shown_comments"


def upgrade() -> None:
    """Run ``sql/0035_alert_messages.sql``."""
    run_scripts(revision)
