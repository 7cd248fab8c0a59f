"""Schemas, roles, tables, rules and privileges.

Revision ID: 0001_baseline
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0001_baseline"
down_revision = None

_PARTS = ("roles", "chain", "market", "voting", "community", "ops", "rules", "privileges")


def upgrade() -> None:
    """Run ``sql/0001_<part>.sql`` of each part."""
    run_scripts(*(f"0001_{part}" for part in _PARTS))
