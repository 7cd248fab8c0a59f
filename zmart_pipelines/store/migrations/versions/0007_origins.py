"""Where columns come from, a day's traders, comparisons and repairs.

Revision ID: 0007
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_scripts(revision, "origins")
