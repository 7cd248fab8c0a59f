"""Circuit breakers.

Revision ID: 0005
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_scripts(revision, "breakers")
