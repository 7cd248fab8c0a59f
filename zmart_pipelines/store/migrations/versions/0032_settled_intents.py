"""An index of the intents that came to their end lately.

Revision ID: 0032_settled_intents
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0032_settled_intents"
down_revision = "0031_intent_due_at"


def upgrade() -> None:
    """Run ``sql/0032_settled_intents.sql``."""
    run_scripts(revision)
