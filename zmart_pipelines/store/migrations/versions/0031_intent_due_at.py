"""When the decision of an intent became due.

Revision ID: 0031_intent_due_at
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0031_intent_due_at"
down_revision = "0030_sign_in_functions"


def upgrade() -> None:
    """Run ``sql/0031_intent_due_at.sql``."""
    run_scripts(revision)
