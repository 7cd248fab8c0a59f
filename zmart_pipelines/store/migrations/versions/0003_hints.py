"""Signatures that deliveries without logs name.

Revision ID: 0003
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_scripts(revision, "hints")
