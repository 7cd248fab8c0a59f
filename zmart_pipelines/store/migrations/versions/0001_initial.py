"""Schemas, roles, tables, rules and privileges of the first release.

Revision ID: 0001
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0001"
down_revision = None

_PARTS = ("roles", "chain", "market", "voting", "community", "ops", "rules", "privileges")


def upgrade() -> None:
    run_scripts(revision, *_PARTS)
