"""The vote of a reopened round begins by the chain's clock.

Revision ID: 0045_reopened_votes
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0045_reopened_votes"
down_revision = "0044_silence_security"


def upgrade() -> None:
    """Run ``sql/0045_reopened_votes.sql``."""
    run_scripts(revision)
