"""Indexes on the time of each state transition.

Revision ID: 0046_transition_times
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0046_transition_times"
down_revision = "0045_reopened_votes"


def upgrade() -> None:
    """Run ``sql/0046_transition_times.sql``."""
    run_scripts(revision)
