"""The readers' login sees public rows only.

Revision ID: 0019_row_security
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0019_row_security"
down_revision = "0018_idempotency_keys"


def upgrade() -> None:
    """Run ``sql/0019_row_security.sql``."""
    run_scripts(revision)
