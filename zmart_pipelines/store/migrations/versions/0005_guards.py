"""Frozen tallies, counted ballots, intents, attempts and users' texts are immutable.

Revision ID: 0005_guards
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0005_guards"
down_revision = "0004_unreadable_entries"


def upgrade() -> None:
    """Run ``sql/0005_guards.sql``."""
    run_scripts("0005_guards")
