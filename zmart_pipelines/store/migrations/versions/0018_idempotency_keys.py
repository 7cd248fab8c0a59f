"""What writes were answered, by idempotency key.

Revision ID: 0018_idempotency_keys
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0018_idempotency_keys"
down_revision = "0017_audit"


def upgrade() -> None:
    """Run ``sql/0018_idempotency_keys.sql``."""
    run_scripts(revision)
