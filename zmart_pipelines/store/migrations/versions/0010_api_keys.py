"""Keys of services that call the API.

Revision ID: 0010_api_keys
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0010_api_keys"
down_revision = "0009_leaderboards"


def upgrade() -> None:
    """Run ``sql/0010_api_keys.sql``."""
    run_scripts(revision)
