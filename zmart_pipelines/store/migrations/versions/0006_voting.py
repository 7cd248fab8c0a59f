"""Weights of ballots, holdings as of a dispute, votes with news.

Revision ID: 0006
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_scripts(revision, "voting")
