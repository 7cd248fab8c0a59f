"""How large the database and its tables were.

Revision ID: 0040_table_sizes
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0040_table_sizes"
down_revision = "0039_api_counts"


def upgrade() -> None:
    """Run ``sql/0040_table_sizes.sql``."""
    run_scripts(revision)
