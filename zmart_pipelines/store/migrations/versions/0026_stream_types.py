"""Frames of the stream name the frame before on the same channel that has the same type.

Revision ID: 0026_stream_types
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0026_stream_types"
down_revision = "0025_draft_versions"


def upgrade() -> None:
    """Run ``sql/0026_stream_types.sql``."""
    run_scripts(revision)
