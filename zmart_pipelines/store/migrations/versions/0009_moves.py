"""News of markets' states.

Revision ID: 0009
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_scripts(revision, "moves")
