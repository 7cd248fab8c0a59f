"""The trace context in which a frame of the live stream was written.

Revision ID: 0038_stream_traces
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0038_stream_traces"
down_revision = "0035_alert_messages"


def upgrade() -> None:
    """Run ``sql/0038_stream_traces.sql``."""
    run_scripts(revision)
