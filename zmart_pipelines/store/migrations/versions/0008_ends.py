"""An index of when questions end.

Revision ID: 0008
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_scripts(revision, "ends")
