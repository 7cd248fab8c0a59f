"""A dispute's vote begins with a unit with which its votes fit the chain's u32.

Revision ID: 0043_weight_units
"""

from __future__ import annotations

from zmart_pipelines.store.migrate import run_scripts

revision = "0043_weight_units"
down_revision = "0042_monitor_indexes"


def upgrade() -> None:
    """Run ``sql/0043_weight_units.sql``."""
    run_scripts(revision)
