"""What operators order through the API.

Revision ID: 0023_orders
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0023_orders"
down_revision = "0022_relayed_transactions"


def upgrade() -> None:
    """Run ``sql/0023_orders.sql``."""
    run_scripts(revision)
