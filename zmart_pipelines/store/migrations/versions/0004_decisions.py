"""Activation as an action; alerts that are posted to a webhook.

Revision ID: 0004
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_scripts(revision, "decisions")
