"""Tickets by which sockets sign in.

Revision ID: 0027_realtime_tickets
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0027_realtime_tickets"
down_revision = "0026_stream_types"


def upgrade() -> None:
    """Run ``sql/0027_realtime_tickets.sql``."""
    run_scripts(revision)
