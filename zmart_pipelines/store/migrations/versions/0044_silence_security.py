"""Row-level security of silences: the API writes them for operators alone.

Revision ID: 0044_silence_security
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0044_silence_security"
down_revision = "0043_weight_units"


def upgrade() -> None:
    """Run ``sql/0044_silence_security.sql``."""
    run_scripts(revision)
