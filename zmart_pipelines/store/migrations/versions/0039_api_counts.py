"""Counts of the API's processes, failed pins of snapshots, and an index for claims.

Revision ID: 0039_api_counts
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0039_api_counts"
down_revision = "0038_stream_traces"


def upgrade() -> None:
    """Run ``sql/0039_api_counts.sql``."""
    run_scripts(revision)
